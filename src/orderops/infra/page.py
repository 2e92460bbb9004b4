"""A page of a service, asked for through the load balancer like a client: no proxy, no redirect, limited in time."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from datetime import timedelta
from enum import StrEnum
from http.client import HTTPConnection, HTTPException, RemoteDisconnected
from urllib.parse import urlsplit

from orderops.frozen import Frozen
from orderops.infra.https import https_connection
from orderops.text.durations import in_words
from orderops.text.outside import plain

# The service checks its dependencies side by side, for at most two seconds.
ANSWER_TIME = timedelta(seconds=5)
MOST_BYTES = 65_536
"""Bytes of an answer that are read."""


class NoAnswer(StrEnum):
    """Why there is no answer."""

    UNREACHABLE = "unreachable"
    """No connection from this machine, which says nothing about other clients."""
    LATE = "late"
    """No complete answer in time, on an open connection."""
    NOT_HTTP = "not-http"


class PageAnswer(Frozen):
    """What a path answered. `status` is 0 if nothing did; `missing` and `detail` then say why."""

    url: str
    milliseconds: int
    status: int = 0
    reason: str = ""
    location: str = ""
    body: bytes = b""
    """At most MOST_BYTES, and one more where the answer is longer."""
    missing: NoAnswer | None = None
    detail: str = ""


def ask_page(url: str, path: str, *, within: timedelta = ANSWER_TIME) -> PageAnswer:
    """Send GET to a path of a load balancer. Returns within this time."""
    question = _Question(url, path, within)
    # A thread, since neither the resolution of a name nor the arrival of single bytes has a limit of its own.
    thread = threading.Thread(target=question.ask, name=f"GET {path}", daemon=True)
    thread.start()
    thread.join(within.total_seconds())
    return question.answer or question.given_up()


class _Question:
    """One request. `answer` is None until there is one."""

    def __init__(self, url: str, path: str, within: timedelta) -> None:
        parts = urlsplit(url)
        self.answer: PageAnswer | None = None
        # The URL of a REST API has a path of its own: its stage.
        self._url, self._path = f"{url}{path}", f"{parts.path.rstrip('/')}{path}"
        self._host = parts.hostname or ""
        self._within = within
        limit = within.total_seconds()
        self._connection = (
            https_connection(self._host, parts.port or 443, limit)
            if parts.scheme == "https"
            else HTTPConnection(self._host, parts.port or 80, timeout=limit)
        )
        self._socket: socket.socket | None = None
        self._began = time.monotonic()

    def ask(self) -> None:
        try:
            self._connection.connect()
            self._socket = self._connection.sock
        except OSError as error:
            self.answer = self._missing(NoAnswer.UNREACHABLE, self._why_unreachable(error))
            return
        try:
            self._connection.request("GET", self._path, headers={"Accept": "application/json", "Connection": "close"})
            response = self._connection.getresponse()
            body = response.read(MOST_BYTES + 1)
            location = response.getheader("Location", "")
            self.answer = PageAnswer(self._url, self._elapsed, response.status, response.reason, location, body)
        except TimeoutError:
            self.answer = self.given_up()
        except (RemoteDisconnected, OSError) as error:
            # Between this machine and a load balancer of AWS, a firewall may do that.
            closed = plain(getattr(error, "strerror", None) or "closed without an answer").lower()
            self.answer = self._missing(NoAnswer.UNREACHABLE, f"the connection was {closed}")
        except (HTTPException, ValueError):
            self.answer = self._missing(NoAnswer.NOT_HTTP, "the answer is not HTTP")
        finally:
            self._connection.close()

    def given_up(self) -> PageAnswer:
        """The answer when the time is over; ends the request."""
        waited = in_words(self._within)
        if self._socket is None:
            return self._missing(NoAnswer.UNREACHABLE, f"no connection within {waited}")
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        return self._missing(NoAnswer.LATE, f"no complete answer within {waited}")

    @property
    def _elapsed(self) -> int:
        return round((time.monotonic() - self._began) * 1000)

    def _missing(self, why: NoAnswer, detail: str) -> PageAnswer:
        return PageAnswer(self._url, self._elapsed, missing=why, detail=detail)

    def _why_unreachable(self, error: OSError) -> str:
        if isinstance(error, socket.gaierror):
            return f"the name {self._host} cannot be resolved"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"the certificate is not accepted: {plain(error.verify_message)}"
        if isinstance(error, TimeoutError):
            return f"no connection within {in_words(self._within)}"
        return plain(error.strerror or str(error)).lower()
