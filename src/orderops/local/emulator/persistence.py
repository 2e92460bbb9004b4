"""State file of the emulator: all moto backends and our own records.

A single pickle keeps shared objects shared (a rule's target group is the balancer's target group). The file is
replaced atomically after a sync, so that a kill leaves either the old or the new state.
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
from moto.resourcegroupstaggingapi.models import ResourceGroupsTaggingAPIBackend

from orderops.errors import OrderopsError

# Increased when the pickled classes of this package change incompatibly.
FORMAT = 2
# Seconds. An apply sends dozens of requests in a row: one save is enough for them.
DEBOUNCE_SECONDS = 0.2
# Seconds. A full disk is not repaired sooner.
RETRY_SECONDS = 5.0
log = logging.getLogger(__name__)
_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())
BACKEND_ATTRIBUTES = frozenset({"backend", "service_name", "_use_boto3_regions", "_additional_regions", "_id"})


class StateFile:
    """State file and the thread that writes it soon after a change."""

    def __init__(self, path: Path, lock: threading.RLock, records: Callable[[], Any]) -> None:
        self._path = path
        self._lock = lock
        self._records = records
        self._due: float | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._write_when_due, name="memory", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def touch(self, within: float = DEBOUNCE_SECONDS) -> None:
        """Schedule a write within the given number of seconds."""
        due = time.monotonic() + within
        with self._changed:
            if self._due is None or due < self._due:
                self._due = due
                self._changed.notify()

    def close(self) -> None:
        """Write a last time and stop the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self.write()

    def write(self) -> None:
        """Write the whole state. Call without holding the emulator's lock."""
        with self._writing:
            with self._lock:
                content = dump(self._records())
            temporary = self._path.with_suffix(".half")
            with open(temporary, "wb", opener=_open_private) as file:
                file.write(content)
                file.flush()
                # Without it, a power cut can leave an empty file under the new name.
                os.fsync(file.fileno())
            temporary.replace(self._path)

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
                log.exception("cannot write the state; retrying")
                self.touch(RETRY_SECONDS)
            # Writing holds the lock. A pause of four times the duration leaves requests at least 80 % of the time.
            self._rest(4 * (time.monotonic() - began))

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def dump(records: Any) -> bytes:
    """Serialize the emulator's state together with our own records."""
    # moto keeps every model ever created, for a dashboard that the laptop does not serve: the file would only grow.
    reset_model_data()
    state = {
        "backends": {backend.service_name: dict(backend) for backend in BackendDict._instances},
        "attributes": {backend.service_name: _extra_attributes(backend) for backend in BackendDict._instances},
        "log_event": LogEvent._event_id,
        "own": records,
    }
    file = io.BytesIO()
    file.write(json.dumps(_header()).encode() + b"\n")
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(state)
    return file.getvalue()


def load(path: Path) -> Any:
    """Restore the state and return our own records; None when the file does not exist.

    Raises OrderopsError for a file of another moto version, and for one that cannot be read.
    """
    if not path.exists():
        return None
    header, _, content = path.read_bytes().partition(b"\n")
    written = _read_header(header)
    if written != _header():
        raise OrderopsError(
            f"the state of the local environment was written by moto {written.get('moto', '?')} "
            f"(format {written.get('format', '?')}), but moto {moto.__version__} (format {FORMAT}) is installed",
            "delete the state: orderops local reset",
        )
    try:
        state = pickle.loads(content)
    except Exception as error:
        raise OrderopsError(
            f"the state of the local environment cannot be read: {type(error).__name__}: {error}",
            "delete it: orderops local reset",
        ) from error
    for name, accounts in state["backends"].items():
        backend = get_backend(name)
        for account, regions in accounts.items():
            backend[account].update(regions)
        vars(backend).update(state["attributes"][name])
    # moto numbers log events by a class attribute; starting at 0 again would repeat ids that followers have seen.
    LogEvent._event_id = state["log_event"]
    return state["own"]


def _header() -> dict[str, Any]:
    return {"format": FORMAT, "moto": moto.__version__}


def _read_header(line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except ValueError:
        return {}
    return header if isinstance(header, dict) else {}


def _extra_attributes(backend: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(backend).items() if name not in BACKEND_ATTRIBUTES}


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        # Locks cannot be pickled; a new process needs new ones.
        if isinstance(value, _RLOCK):
            return threading.RLock, ()
        if isinstance(value, _LOCK):
            return threading.Lock, ()
        if isinstance(value, AWSManagedPolicy):
            # The same thousand policies exist in every account: only the attachment count has to be stored.
            return _aws_policy, (value.account_id, value.arn), {"attachment_count": value.attachment_count}
        if isinstance(value, RSAPrivateKey):
            plain = serialization.NoEncryption()
            pem = value.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
            return _private_key, (pem,)
        if isinstance(value, ResourceGroupsTaggingAPIBackend):
            # moto keeps a generator for each listing that was not read to its end, and generators cannot be pickled.
            # After a restart, AWS's error for an expired token makes the client list again.
            create, arguments = value.__reduce_ex__(pickle.HIGHEST_PROTOCOL)[:2]
            return create, arguments, {**vars(value), "_pages": {}}
        return NotImplemented


def _private_key(pem: bytes) -> Any:
    # We wrote the key ourselves: checking it takes most of the time in which a state is read.
    return serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)


def _aws_policy(account: str, arn: str) -> Any:
    return _aws_policies(account, arn.split(":")[1])[arn]


@cache
def _aws_policies(account: str, partition: str) -> dict[str, Any]:
    data = json.loads(aws_managed_policies_data)
    made = (AWSManagedPolicy.from_data(name, account, partition, policy) for name, policy in data.items())
    return {policy.arn: policy for policy in made}
