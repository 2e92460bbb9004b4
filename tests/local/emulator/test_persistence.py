"""The state file: what cannot be written is left out and named, and a save that fails loses nothing."""

from __future__ import annotations

import pickle
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import moto
import pytest
from moto.backends import get_backend, list_of_moto_modules
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_api._internal import moto_api_backend

from orderops.errors import OrderopsError
from orderops.local.emulator.persistence import StateFile, dump, load
from orderops.local.emulator.state_pickle import pickled


class NeverReadAgain:
    """Can be written; reading it fails, as that of an exception with an argument of its own does."""

    def __reduce__(self) -> Any:
        return _fail, ()


class RefusesToBeWritten:
    """Raises an exception of its own when it is written."""

    def __init__(self, *, refuses: bool) -> None:
        self.refuses = refuses

    def __getstate__(self) -> Any:
        if self.refuses:
            raise RuntimeError("not now")
        return vars(self)


def _fail() -> None:
    raise RuntimeError("cannot be read")


def generator() -> Iterator[int]:
    yield 1


@pytest.fixture(autouse=True)
def sqs() -> Iterator[Any]:
    """moto's backend of SQS with one queue."""
    moto_api_backend.reset()
    backend = get_backend("sqs")[DEFAULT_ACCOUNT_ID]["ap-southeast-2"]
    backend.create_queue("orders", {})
    yield backend
    moto_api_backend.reset()


def kept(path: Path) -> Any:
    """Return moto's backend of SQS after a restart with this state file."""
    moto_api_backend.reset()
    load(path)
    return get_backend("sqs")[DEFAULT_ACCOUNT_ID]["ap-southeast-2"]


def closure() -> Callable[[], int]:
    number = 7

    def inner() -> int:
        return number

    return inner


def opened() -> Any:
    with Path(__file__).open("rb") as file:
        return file


def instance_of_a_local_class() -> object:
    class Inner: ...

    return Inner()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (generator, "generator"),
        (closure, "closure.<locals>.inner"),
        (lambda: lambda: None, "<lambda>"),
        (instance_of_a_local_class, "Inner"),
        (lambda: pickle, "module"),
        (lambda: memoryview(b"x"), "memoryview"),
        (opened, "BufferedReader"),
    ],
)
def test_a_kind_that_cannot_be_written_is_left_out_alone(
    sqs: Any, tmp_path: Path, make: Callable[[], Any], name: str
) -> None:
    sqs.odd = {"value": make(), "next to it": 7}

    written = pickled(None)

    assert len(written.left_out) >= 1
    assert any(name in text and text.endswith(" of sqs") for text in written.left_out)
    (tmp_path / "state").write_bytes(dump(None))
    again = kept(tmp_path / "state")
    assert list(again.queues) == ["orders"]
    assert again.odd["next to it"] == 7


@pytest.mark.parametrize(
    ("make", "reason"),
    [(NeverReadAgain, "cannot be read"), (lambda: [RefusesToBeWritten(refuses=n > 0) for n in range(2)], "not now")],
)
def test_a_service_that_cannot_be_saved_is_left_out_as_a_whole(
    sqs: Any, tmp_path: Path, make: Callable[[], Any], reason: str
) -> None:
    get_backend("sns")[DEFAULT_ACCOUNT_ID]["ap-southeast-2"].odd = make()

    written = pickled({"tasks": {}}, verify=True)

    assert written.left_out == (f"all of sns (RuntimeError: {reason})",)
    sqs.odd = 7
    (tmp_path / "state").write_bytes(dump(None).partition(b"\n")[0] + b"\n" + written.content)
    assert list(kept(tmp_path / "state").queues) == ["orders"]


def test_objects_of_the_standard_library_are_not_left_out(sqs: Any) -> None:
    import re
    from datetime import UTC, datetime
    from enum import Enum
    from functools import partial

    sqs.odd = [re.compile("a"), datetime.now(UTC), partial(len), len, Enum, defaultdict(list), {1}, range(3)]

    assert pickled(None).left_out == ()


class Factories:
    """Two dictionaries with factories that differ, as moto's backends have them."""

    def __init__(self) -> None:
        self.lists: dict[str, list[int]] = defaultdict(lambda: [7])
        self.names: dict[str, dict[str, str]] = defaultdict(lambda: {"name": "orders"})


def test_factories_of_dictionaries_are_read_again(sqs: Any, tmp_path: Path) -> None:
    sqs.odd = Factories()

    assert pickled(None, verify=True).left_out == ()
    (tmp_path / "state").write_bytes(dump(None))
    again = kept(tmp_path / "state").odd

    assert again.lists["other"] == [7]
    assert again.names["other"] == {"name": "orders"}


def test_parameters_of_ssm_are_read_again(tmp_path: Path) -> None:
    ssm = get_backend("ssm")[DEFAULT_ACCOUNT_ID]["ap-southeast-2"]
    ssm.put_parameter("/orders/limit", "", "7", "String", "", False, "", [], "text", None, None)

    assert pickled(None, verify=True).left_out == ()
    (tmp_path / "state").write_bytes(dump(None))
    moto_api_backend.reset()
    load(tmp_path / "state")

    again = get_backend("ssm")[DEFAULT_ACCOUNT_ID]["ap-southeast-2"]
    assert again.get_parameter("/orders/limit").value == "7"
    # A name that is asked for the first time is a new list.
    assert again._parameters["/orders/other"] == []


@pytest.mark.slow
def test_the_state_of_every_service_of_moto_is_saved_whole() -> None:
    regions = ("ap-southeast-2", "aws", "global", "us-east-1")
    made = []
    for name in list_of_moto_modules():
        # Some modules are no services, and some services have no regions.
        with suppress(AttributeError, KeyError):
            account = get_backend(name)[DEFAULT_ACCOUNT_ID]
            made += [account[region] for region in regions if region in (*account, *account.regions)][:1]

    assert len(made) > 100
    assert pickled(None, verify=True).left_out == ()


@pytest.fixture
def state_file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "emulator.state", threading.RLock(), lambda: None)


def test_a_full_disk_is_reported_and_the_last_state_stays(sqs: Any, state_file: StateFile, tmp_path: Path) -> None:
    state_file.write()
    sqs.create_queue("payments", {})
    # A write to /dev/full fails with ENOSPC.
    (tmp_path / "emulator.half").symlink_to("/dev/full")

    first = state_file.save()
    (tmp_path / "emulator.half").symlink_to("/dev/full")
    second = state_file.save()

    assert first.problem == second.problem == "No space left on device"
    assert first.failing_since == second.failing_since is not None
    # What is half written would take the space that the next save needs.
    assert [path.name for path in tmp_path.iterdir()] == ["emulator.state"]
    assert list(kept(tmp_path / "emulator.state").queues) == ["orders"]


def test_a_save_after_a_failure_is_complete_and_ends_the_report(state_file: StateFile, tmp_path: Path) -> None:
    (tmp_path / "emulator.half").symlink_to("/dev/full")
    assert state_file.save().problem

    assert state_file.save().to_dict() == {"problem": "", "failing_since": None, "left_out": []}
    assert list(kept(tmp_path / "emulator.state").queues) == ["orders"]


def test_a_save_killed_in_the_middle_leaves_the_last_state(state_file: StateFile, tmp_path: Path) -> None:
    state_file.write()
    (tmp_path / "emulator.half").write_bytes(dump(None)[:100])

    assert list(kept(tmp_path / "emulator.state").queues) == ["orders"]
    assert not state_file.save(verify=True).problem


def test_only_the_user_can_read_the_state(state_file: StateFile, tmp_path: Path) -> None:
    state_file.write()

    assert (tmp_path / "emulator.state").stat().st_mode & 0o077 == 0


def test_the_report_names_what_was_left_out_until_it_is_gone(sqs: Any, state_file: StateFile) -> None:
    sqs.odd = generator()
    assert state_file.save().left_out == ("generator of sqs",)

    del sqs.odd

    assert state_file.save().left_out == ()


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        ({"format": 1, "moto": moto.__version__}, "run the version of orderops that wrote it"),
        ({"format": 2, "moto": "4.0.0"}, "run the version of orderops that wrote it"),
        ({}, "run the version of orderops that wrote it"),
    ],
)
def test_a_state_of_an_earlier_format_is_kept_and_the_hint_says_how(
    tmp_path: Path, header: dict[str, Any], hint: str
) -> None:
    import json

    content = json.dumps(header).encode() + b"\nwhatever"
    (tmp_path / "emulator.state").write_bytes(content)

    with pytest.raises(OrderopsError, match="the state of the local environment was written by moto") as refused:
        load(tmp_path / "emulator.state")

    assert hint in refused.value.hint
    assert (tmp_path / "emulator.state").read_bytes() == content


def test_a_state_of_another_moto_names_the_one_to_install(tmp_path: Path) -> None:
    content = dump(None).replace(moto.__version__.encode(), b"4.0.0", 1)
    (tmp_path / "emulator.state").write_bytes(content)

    with pytest.raises(OrderopsError) as refused:
        load(tmp_path / "emulator.state")

    assert "pip install 'moto[server]==4.0.0'" in refused.value.hint
