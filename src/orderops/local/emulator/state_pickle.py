"""Pickle of all moto backends and our own records, without what cannot be written.

A single pickle keeps shared objects shared (a rule's target group is the balancer's target group). A kind that cannot
be pickled, such as a generator, is left out and named, so that it costs itself and not the rest of the state. A
service that cannot be written even so, or not be read again, is left out as a whole.
"""

from __future__ import annotations

import copyreg
import io
import json
import pickle
import sys
import threading
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from types import FunctionType
from typing import Any
from weakref import WeakValueDictionary

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509 import Certificate, load_pem_x509_certificate
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy
from moto.logs.models import LogEvent
from moto.resourcegroupstaggingapi.models import ResourceGroupsTaggingAPIBackend

from orderops.local.emulator.local_functions import reduced_function

_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())
BACKEND_ATTRIBUTES = frozenset({"backend", "service_name", "_use_boto3_regions", "_additional_regions", "_id"})
OWN = "tasks and services"
# Py_TPFLAGS_HEAPTYPE: the flag of classes that are created by a program.
HEAP_TYPE = 1 << 9


@dataclass(frozen=True)
class PickledState:
    """Content of the state file, and what it lacks in words for an operator."""

    content: bytes
    left_out: tuple[str, ...] = ()


def pickled(records: Any, *, verify: bool = False) -> PickledState:
    """Pickle the emulator's state together with our own records; with `verify`, read it again as the next start does.

    Raises an exception only when nothing can be written.
    """
    # moto keeps every model ever created, for a dashboard that the laptop does not serve: the file would only grow.
    reset_model_data()
    parts = _parts(records)
    try:
        return _checked(parts, verify=verify)
    except Exception:
        broken = {name: reason for name, part in parts.items() if (reason := _defect({name: part}))}
        if not broken or len(broken) == len(parts):
            raise
        written = _checked({name: part for name, part in parts.items() if name not in broken}, verify=True)
        wholes = [f"all of {name} ({reason})" for name, reason in sorted(broken.items())]
        return PickledState(written.content, (*wholes, *written.left_out))


def _parts(records: Any) -> dict[str, Any]:
    """Return our own records, and of each service its backends and extra attributes."""
    services = {backend.service_name: (dict(backend), _extra_attributes(backend)) for backend in BackendDict._instances}
    return {**services, OWN: records}


def _extra_attributes(backend: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(backend).items() if name not in BACKEND_ATTRIBUTES}


def _checked(parts: Mapping[str, Any], *, verify: bool) -> PickledState:
    written = _written(parts)
    # Where something is left out, what refers to it may fail to load.
    if verify or written.left_out:
        pickle.loads(written.content)
    return written


def _written(parts: Mapping[str, Any]) -> PickledState:
    services = {_Label(name): part for name, part in parts.items() if name != OWN}
    state = {
        "backends": {name: backends for name, (backends, _) in services.items()},
        "attributes": {name: attributes for name, (_, attributes) in services.items()},
        "log_event": LogEvent._event_id,
        _Label(OWN): None,
        "own": parts.get(OWN),
    }
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(state)
    return PickledState(file.getvalue(), tuple(sorted(pickler.left_out)))


def _defect(part: Mapping[str, Any]) -> str:
    """Say why a part alone can neither be written nor read again; empty when it can."""
    try:
        _checked(part, verify=True)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


class _Label(str):
    """Key of a part; when it is pickled, what follows belongs to this part."""


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.left_out: set[str] = set()
        self._part = ""
        self._writable: dict[type, bool] = {}

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, _Label):
            self._part = str(value)
            return str, (str(value),)
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
        if isinstance(value, Certificate):
            return _certificate, (value.public_bytes(serialization.Encoding.PEM),)
        if isinstance(value, ResourceGroupsTaggingAPIBackend):
            # moto keeps a generator for each listing that was not read to its end. After a restart, AWS's error for an
            # expired token makes the client list again.
            create, arguments = value.__reduce_ex__(pickle.HIGHEST_PROTOCOL)[:2]
            return create, arguments, {**vars(value), "_pages": {}}
        if isinstance(value, WeakValueDictionary):
            return WeakValueDictionary, (dict(value),)
        if isinstance(value, FunctionType) and not _importable(value) and (written := reduced_function(value)):
            return written
        if isinstance(value, defaultdict) and type(value) is not defaultdict:
            # Pickle would call the class with the factory, and classes of moto take other arguments.
            state = (vars(value), {"default_factory": value.default_factory})
            return _empty, (type(value),), state, None, iter(value.items())
        return NotImplemented if self._can_write(value) else self._leave_out(value)

    def _can_write(self, value: Any) -> bool:
        if isinstance(value, (type, FunctionType)):
            return _importable(value)
        kind = type(value)
        if kind not in self._writable:
            self._writable[kind] = _reducible(value)
        return self._writable[kind]

    def _leave_out(self, value: Any) -> Any:
        name = value.__qualname__ if isinstance(value, (type, FunctionType)) else type(value).__qualname__
        self.left_out.add(f"{name} of {self._part}")
        return _nothing, ()


def _reducible(value: Any) -> bool:
    """Tell whether values of this kind can be pickled, and their class found again by name."""
    try:
        registered = copyreg.dispatch_table.get(type(value))
        reduced = registered(value) if registered else value.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    except Exception:
        return False
    # Of the arguments only the class, which is the same for all of the kind; others are judged on their own.
    needed: Collection[Any] = () if isinstance(reduced, str) else (reduced[0], type(value))
    return all(_importable(part) for part in needed if _has_code(part))


def _has_code(part: Any) -> bool:
    """Tell whether this is a function or class written in Python; others, such as `method`, have no name to find."""
    return isinstance(part, FunctionType) or (isinstance(part, type) and bool(part.__flags__ & HEAP_TYPE))


def _importable(value: Any) -> bool:
    found: Any = sys.modules.get(value.__module__)
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value


def _empty(kind: Any) -> Any:
    """Create an object without calling its constructor."""
    return kind.__new__(kind)


def _nothing() -> None:
    """Stand in for what was left out."""


def _private_key(pem: bytes) -> Any:
    # We wrote the key ourselves: checking it takes most of the time in which a state is read.
    return serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)


def _certificate(pem: bytes) -> Certificate:
    return load_pem_x509_certificate(pem)


def _aws_policy(account: str, arn: str) -> Any:
    return _aws_policies(account, arn.split(":")[1])[arn]


@cache
def _aws_policies(account: str, partition: str) -> dict[str, Any]:
    data = json.loads(aws_managed_policies_data)
    made = (AWSManagedPolicy.from_data(name, account, partition, policy) for name, policy in data.items())
    return {policy.arn: policy for policy in made}
