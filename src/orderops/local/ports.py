"""Ports of the loopback interface: find free ones, and name the program that has taken one."""

from __future__ import annotations

import socket
from collections.abc import Collection
from contextlib import closing

from orderops.errors import OrderopsError

HOST = "127.0.0.1"


class PortTaken(OrderopsError):
    """Another program already listens on a required port."""

    def __init__(self, port: int, listener: str, hint: str) -> None:
        super().__init__(f"{taken_text(port)}: {listener} cannot listen there", hint)


def free_port(excluded: Collection[int] = ()) -> int:
    """Return a port that is free now and is not in `excluded`."""
    while True:
        with closing(socket.socket()) as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in excluded:
            return port


def port_is_free(port: int) -> bool:
    """Tell whether a port of the loopback interface is free."""
    try:
        listen(port).close()
    except OSError:
        return False
    return True


def listen(port: int, host: str = HOST) -> socket.socket:
    """Return a listening socket on the loopback interface. Raises OSError when another program has the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only when the protocol is given; without it every answer takes 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Without this option, a port stays taken for a minute after its last connection (TIME_WAIT).
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening


def taken_text(port: int) -> str:
    """Say that a port is taken, naming the program when permissions allow it."""
    return f"port {port} is taken by {_listener(port) or 'another program'}"


def _listener(port: int) -> str:
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr
                and connection.laddr.port == port
                and connection.pid
            ):
                return f"another program ({psutil.Process(connection.pid).name()}, pid {connection.pid})"
    except psutil.Error:
        # Only root sees the connections of other users.
        pass
    return ""
