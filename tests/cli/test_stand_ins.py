"""What stands in for a module of a library: the library finds what it takes, and everybody else the real module."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from orderops.cli.stand_ins import NoDocstring

PLAN = """
from orderops.cli.stand_ins import install
install()
import sys
import botocore.session
from pydantic import BaseModel
class Table(BaseModel):
    rows: int
assert Table.model_validate({"rows": 1}).rows == 1
client = botocore.session.Session().create_client(
    "sqs", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
)
assert client.get_paginator("list_queues") is not None
assert client.get_queue_url.__doc__ == ""
"""


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["botocore.docs.service", "html.parser", "importlib.metadata", "zipfile"])
def test_a_client_and_a_model_are_made_without(module: str) -> None:
    assert run(f"{PLAN}\nprint({module!r} in sys.modules)") == "False"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("botocore.docs.docstring", "LazyLoadedDocstring"),
        ("botocore.docs", "generate_docs"),
        ("botocore.docs", "service"),
        ("pydantic.plugin._loader", "PYDANTIC_ENTRY_POINT_GROUP"),
        ("urllib3.http2", "inject_into_urllib3"),
        ("urllib3.http2", "probe"),
    ],
)
def test_any_other_name_comes_from_the_real_module(module: str, name: str) -> None:
    taken = f"from {module} import {name}; print({name} is getattr(sys.modules[{module!r}], {name!r}))"

    assert run(f"{PLAN}\n{taken}") == "True"


def test_a_name_that_the_real_module_lacks_is_an_import_error() -> None:
    script = f"{PLAN}\ntry:\n    from botocore.docs import nothing\nexcept ImportError:\n    print('refused')"

    assert run(script) == "refused"


def test_a_module_that_is_loaded_already_stays() -> None:
    assert run("import botocore.docs as real\n" + PLAN + "\nprint(sys.modules['botocore.docs'] is real)") == "True"


@pytest.mark.parametrize("name", ["ClientMethodDocstring", "PaginatorDocstring", "WaiterDocstring"])
def test_the_library_has_a_docstring_that_a_stand_in_stands_for(name: str) -> None:
    assert issubclass(getattr(import_module("botocore.docs.docstring"), name), str)
    assert NoDocstring(operation_model=None, method_name="x") == ""


@pytest.mark.parametrize("package", ["botocore.docs", "urllib3.http2"])
def test_the_library_has_a_package_that_a_stand_in_stands_for(package: str) -> None:
    assert import_module(package).__path__


def test_the_library_has_a_search_for_plugins_that_a_stand_in_stands_for() -> None:
    assert callable(import_module("pydantic.plugin._loader").get_plugins)
