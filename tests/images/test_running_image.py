"""The order processor's image, from `orderops service build` to a process that answers.

Builder, registry and Python are real. A test cannot reach the package index, so a pip of the base image copies what
this machine has installed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import psutil
import pytest

from orderops.local.ports import free_port
from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.git_checkout import git_checkout
from support.registry_fixtures import PASSWORD, needs_registry
from support.service_sources import copy_file, copy_libraries, copy_program, copy_sources, write_script

NAME = "orderops-dev-order-processor"
PACKAGES = (
    "boto3",
    "jinja2",
    "platformdirs",
    "psycopg",
    "psycopg-binary",
    "pydantic",
    "starlette",
    "tenacity",
    "uvicorn",
)
# Of the models of AWS, the largest part of botocore, the service needs two.
MODELS = ("secretsmanager", "sqs")
PYTHON = f"/python/bin/python{sysconfig.get_python_version()}"
START = f"""#!/bin/sh
if [ "$2" != venv ]; then exec {PYTHON} "$@"; fi
{PYTHON} -m venv --without-pip "$3"
cp /bin/copying-pip "$3/bin/pip"
"""
PIP = """#!/bin/sh
site=$(echo /opt/service/lib/python3.*/site-packages)
cp -r src/orderops /packages/* $site/
"""
VARIABLES = {
    "AWS_REGION": "ap-southeast-2",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "ORDEROPS_ENVIRONMENT": "dev",
    "ORDEROPS_VERSION": "order-processor@sha256:1",
    "QUEUE_URL": "http://127.0.0.1:9/123456789012/orders",
    "DATABASE_SECRET": "orderops/dev/database",
}
SECONDS = 120.0

pytest_plugins = ["support.registry_fixtures"]
pytestmark = [needs_registry, pytest.mark.slow]


@pytest.fixture
def base(tmp_path: Path, with_builder: str) -> str:
    """A base image of this machine's Python and some of its programs, named by its digest."""
    if with_builder != "buildah":
        pytest.skip("only buildah runs an image without a container engine")
    folder = tmp_path / "base"
    root = folder / "root"
    for name in ("sh", "mkdir", "cp", "install", "id"):
        copy_program(name, root)
    _copy_python(root)
    for name, text in (("python", START), ("copying-pip", PIP), ("useradd", "#!/bin/sh\n")):
        write_script(root / "bin" / name, text)
    (root / "tmp").mkdir(mode=0o1777)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY root /\nENV PATH=/bin\n")
    buildah("build", "--isolation", "chroot", "--tag", "localhost/base:1", str(folder))
    return f"localhost/base@{buildah('images', '--format', '{{.Digest}}', 'localhost/base:1')}"


@pytest.fixture
def orderops(
    capsys: pytest.CaptureFixture[str], proxy: Proxy, client: Callable[[str], Any], tmp_path: Path, registry: str
) -> Orderops:
    """The command line, on an account with the repository of dev's service."""
    client("ecr").create_repository(repositoryName=NAME, imageTagMutability="IMMUTABLE")
    (tmp_path / "dev.toml").write_text("[database]\n[services.order-processor]\n")
    return Orderops(capsys, "--env", "dev", "--environments", str(tmp_path))


def test_the_image_of_a_tagged_commit_is_published_once_and_runs_without_root(
    orderops: Orderops, base: str, registry: str, tmp_path: Path
) -> None:
    checkout = git_checkout(copy_sources(tmp_path / "sources"))
    commit = checkout.commit("v1.4.0")
    build = ("service", "build", "--context", str(checkout.folder), "--base", base)

    first = orderops(*build, "--json")
    assert first.code == 0, first.err
    second = orderops(*build)

    told = first.json
    assert (told["version"], told["schema"], told["built"]) == ("1.4.0", "3-4", True)
    assert second.out.strip() == told["image"]
    line = f"{NAME}:1.4.0 is in the repository, with its bill of materials; nothing to do"
    assert second.err.splitlines()[0] == line
    assert len(second.err.splitlines()) == 2
    bill = orderops("service", "sbom", "1.4.0").json
    found = {component["name"]: component for component in bill["components"]}
    assert found["localhost/base"]["version"] == base.partition("@")[2]
    assert found["starlette"]["version"] == distribution("starlette").version
    with running(f"{registry}/{NAME}@{told['digest']}") as port:
        assert answer(port, "/health") == {"status": "alive"}
        version = answer(port, "/version")
    assert (version["release"], version["commit"]) == ("1.4.0", commit)


@contextmanager
def running(image: str) -> Iterator[int]:
    """Run an image of the registry as its configuration says; the port on which it answers."""
    container = buildah("from", "--tls-verify=false", "--creds", f"AWS:{PASSWORD}", f"docker://{image}")
    port = free_port()
    given = [word for name, value in {**VARIABLES, "PORT": str(port)}.items() for word in ("--env", f"{name}={value}")]
    assert buildah("run", "--isolation", "chroot", container, "id", "-u") == "10001"
    command = ["buildah", "run", "--isolation", "chroot", *given, container, "python", "-m", "orderops.service"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        service = None
        try:
            _wait_for(port, process)
            (service,) = (
                child for child in psutil.Process(process.pid).children(recursive=True) if _listens(child, port)
            )
            assert service.uids().real == 10001
            yield port
        finally:
            (service or process).terminate()
            process.wait(30)


def _listens(process: psutil.Process, port: int) -> bool:
    return any(connection.laddr.port == port for connection in process.net_connections("tcp") if connection.laddr)


def answer(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return json.load(response)


def buildah(*arguments: str) -> str:
    result = subprocess.run(["buildah", *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.strip()


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            answer(port, "/health")
            return
        except OSError:
            time.sleep(0.1)
    process.kill()
    assert process.stdout is not None
    raise AssertionError(process.stdout.read())


def _copy_python(root: Path) -> None:
    """Copy this Python to /python, and the packages of the service to /packages."""
    binary, library = Path(sys.executable).resolve(), Path(sysconfig.get_path("stdlib"))
    copy_file(binary, root / PYTHON.lstrip("/"))
    copy_libraries(binary, root)
    left_out = (
        "site-packages",
        "__pycache__",
        "test",
        "tests",
        "idlelib",
        "tkinter",
        "lib2to3",
        "ensurepip",
        "config-*",
    )
    target = root / "python" / "lib" / library.name
    shutil.copytree(library, target, ignore=shutil.ignore_patterns(*left_out))
    for module in target.rglob("*.so"):
        copy_libraries(module, root)
    for found in _closure():
        for file in found.files or ():
            model = re.match(r"botocore/data/(\w[\w-]*)/", file.as_posix())
            if ".." not in file.parts and file.suffix != ".pyc" and (model is None or model[1] in MODELS):
                source = Path(str(file.locate()))
                copy_file(source, root / "packages" / file)
                if ".so" in source.suffixes:
                    copy_libraries(source, root)


def _closure() -> list[Distribution]:
    """The packages that the service imports, and what they need."""
    found: dict[str, Distribution] = {}
    names = list(PACKAGES)
    while names:
        name = names.pop()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            # Of another platform or another version of Python.
            continue
        wanted = [needed for needed in found[name].requires or () if "extra ==" not in needed]
        names += [re.split(r"[^\w.-]", needed, maxsplit=1)[0].lower() for needed in wanted]
    return list(found.values())
