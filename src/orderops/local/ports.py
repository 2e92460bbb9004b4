"""Ports of the loopback interface: free ones, taken ones, and who has taken them."""

from __future__ import annotations

import socket
from collections.abc import Collection
from contextlib import closing

import psutil

from orderops.errors import OrderopsError

HOST = "127.0.0.1"


class PortTaken(OrderopsError):
    """Another program listens where we should."""

    def __init__(self, port: int, for_whom: str, hint: str) -> None:
        super().__init__(f"{taken_text(port)}: {for_whom} cannot listen there", hint)


def free_port(but: Collection[int] = ()) -> int:
    """A port nobody listens on just now, and none of these."""
    while True:
        with closing(socket.socket()) as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in but:
            return port


def port_is_free(port: int) -> bool:
    """Nobody listens on this port of the loopback interface."""
    try:
        listen(port).close()
    except OSError:
        return False
    return True


def listen(port: int, host: str = HOST) -> socket.socket:
    """A listening socket on the loopback interface, or OSError when another program has the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends without delay only where the protocol is named; with a delay each answer takes 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening


def taken_text(port: int) -> str:
    """That a port is taken, and by whom as far as we may know."""
    return f"port {port} is taken by {_listener(port) or 'another program'}"


def _listener(port: int) -> str:
    try:
        for found in psutil.net_connections("tcp"):
            if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.port == port and found.pid:
                return f"another program ({psutil.Process(found.pid).name()}, pid {found.pid})"
    except psutil.Error:  # Only root may ask everywhere.
        pass
    return ""
