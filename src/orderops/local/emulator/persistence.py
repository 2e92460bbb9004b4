"""What the emulator remembers across its own death: every backend of moto, and our own records, in one file.

One dump for all of it, so that what is shared stays shared (a rule's target group is the balancer's target group).
The file is replaced whole, after it reached the disk: a kill at any moment leaves the state before or the state after.
"""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import moto
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from moto.backends import get_backend
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy
from moto.logs.models import LogEvent

from orderops.errors import OrderopsError

FORMAT = 1
DEBOUNCE = 0.2
AFTER_TROUBLE = 5.0
log = logging.getLogger(__name__)
_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())
_OF_EVERY_BACKEND = frozenset({"backend", "service_name", "_use_boto3_regions", "_additional_regions", "_id"})


class StateFile:
    """The state file, and the thread that writes it soon after something changed."""

    def __init__(self, path: Path, lock: threading.RLock, own: Callable[[], Any]) -> None:
        self._path = path
        self._lock = lock
        self._own = own
        self._due: float | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._write_when_due, name="memory", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def touch(self, within: float = DEBOUNCE) -> None:
        """Something changed: write it down within so many seconds."""
        due = time.monotonic() + within
        with self._changed:
            if self._due is None or due < self._due:
                self._due = due
                self._changed.notify()

    def close(self) -> None:
        """Write a last time, and stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self.write()

    def write(self) -> None:
        """Put the whole state in the file; who asks does not hold the emulator's lock."""
        with self._writing:
            with self._lock:
                content = dump(self._own())
            half = self._path.with_suffix(".half")
            with open(half, "wb", opener=_for_us_only) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            half.replace(self._path)

    def _write_when_due(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (self._due is None or self._due > time.monotonic()):
                    self._changed.wait(None if self._due is None else max(0, self._due - time.monotonic()))
                if self._closed:
                    return
                self._due = None
            began = time.monotonic()
            try:
                self.write()
            except Exception:
                log.exception("the state was not written; trying again")
                self.touch(AFTER_TROUBLE)
            # A large state takes long to write: rest four times as long, so that calls are never held up for long.
            self._rest(4 * (time.monotonic() - began))

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)


def _for_us_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def dump(own: Any) -> bytes:
    """Everything the emulator knows, as bytes."""
    # moto keeps every model it ever made for its own dashboard; nobody here looks at it.
    reset_model_data()
    state = {
        "backends": {found.service_name: dict(found) for found in BackendDict._instances},
        "beside": {found.service_name: _beside(found) for found in BackendDict._instances},
        "log_event": LogEvent._event_id,
        "own": own,
    }
    file = io.BytesIO()
    file.write(json.dumps(_header()).encode() + b"\n")
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(state)
    return file.getvalue()


def recall(path: Path) -> Any:
    """Bring back what the file holds, and answer our own records; None where there is no file."""
    if not path.exists():
        return None
    header, _, content = path.read_bytes().partition(b"\n")
    written = _read_header(header)
    if written != _header():
        raise OrderopsError(
            f"the local environment was written by moto {written.get('moto', '?')} "
            f"(format {written.get('format', '?')}), and this is moto {moto.__version__} (format {FORMAT})",
            "its state cannot be read: orderops local reset",
        )
    try:
        state = pickle.loads(content)
    except Exception as error:
        raise OrderopsError(
            f"the state of the local environment cannot be read: {type(error).__name__}: {error}",
            "begin anew: orderops local reset",
        ) from error
    for name, accounts in state["backends"].items():
        backend = get_backend(name)
        for account, regions in accounts.items():
            backend[account].update(regions)
        vars(backend).update(state["beside"][name])
    LogEvent._event_id = state["log_event"]
    return state["own"]


def _header() -> dict[str, Any]:
    return {"format": FORMAT, "moto": moto.__version__}


def _read_header(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _beside(backend: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(backend).items() if name not in _OF_EVERY_BACKEND}


class _Pickler(pickle.Pickler):
    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, _RLOCK):
            return threading.RLock, ()
        if isinstance(thing, _LOCK):
            return threading.Lock, ()
        if isinstance(thing, AWSManagedPolicy):
            # Thousands of them, all alike in every account: only what was done to them is ours.
            return _aws_policy, (thing.account_id, thing.arn), {"attachment_count": thing.attachment_count}
        if isinstance(thing, RSAPrivateKey):
            plain = serialization.NoEncryption()
            pem = thing.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
            return _private_key, (pem,)
        return NotImplemented


def _private_key(pem: bytes) -> Any:
    return serialization.load_pem_private_key(pem, None)


def _aws_policy(account: str, arn: str) -> Any:
    return _aws_policies(account, arn.split(":")[1])[arn]


@cache
def _aws_policies(account: str, partition: str) -> dict[str, Any]:
    data = json.loads(aws_managed_policies_data)
    made = (AWSManagedPolicy.from_data(name, account, partition, policy) for name, policy in data.items())
    return {policy.arn: policy for policy in made}
