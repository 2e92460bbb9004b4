"""A real registry in place of ECR, and the builders that work on this machine, for tests of images."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orderops.errors import OrderopsError
from orderops.images.builder import NAMES, builder
from orderops.images.registry import MANIFESTS, Repository
from support.small_registry import OCI_INDEX

PASSWORD = "123456789012-auth-token"  # what the emulator's token holds, and below as the registry keeps it
LOGINS = "AWS:$2y$04$0aJjZnDoCHUVvUpwoP1i6e2Ub3Li/sXdThlaDz/7QKcM0.eedQga2\n"
ANSWERS_WITHIN = 20.0

needs_registry = pytest.mark.skipif(
    not (shutil.which("docker-registry") and any(map(shutil.which, NAMES))),
    reason="needs buildah and docker-registry: apt-get install buildah docker-registry",
)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real registry on a port of its own, which asks for the login that ECR's token is."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "logins").write_text(LOGINS)
    config = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": f"{folder}/images"}},
        "auth": {"htpasswd": {"realm": "orderops", "path": f"{folder}/logins"}},
        "http": {"addr": host},
    }
    (folder / "config.yml").write_text(json.dumps(config))
    command = ["docker-registry", "serve", str(folder / "config.yml")]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        _wait_for(host, process)
        monkeypatch.setenv("ORDEROPS_REGISTRY", host)
        yield host
        process.terminate()


@pytest.fixture(params=NAMES)
def with_builder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each builder that works here, with a place of its own for what it keeps."""
    storage = tmp_path / "storage.conf"
    storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/graph"\nrunroot = "{tmp_path}/run"\n')
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(storage))
    monkeypatch.setenv("ORDEROPS_BUILDER", str(request.param))
    try:
        return builder().name
    except OrderopsError as refusal:
        pytest.skip(refusal.message.splitlines()[-1])


def opened(host: str, name: str = "orderops-dev-orders") -> Repository:
    """A repository with the login that the emulator issues."""
    return Repository(host, name, "AWS", PASSWORD)


def document(host: str, path: str) -> Any:
    """What the registry says to whoever asks as builders do."""
    return json.loads(ask(host, path))


def ask(host: str, path: str, *, method: str = "GET", body: bytes | None = None, kind: str = "") -> bytes:
    login = base64.b64encode(f"AWS:{PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Accept": ", ".join((*MANIFESTS, OCI_INDEX)), "Content-Type": kind}
    request = urllib.request.Request(f"http://{host}/v2/{path}", body, headers, method=method)
    with urllib.request.urlopen(request, timeout=ANSWERS_WITHIN) as answer:
        return bytes(answer.read())


def _wait_for(host: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + ANSWERS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://{host}/v2/", timeout=5).close()
        except urllib.error.HTTPError:
            return  # it asks for a login
        except OSError:
            time.sleep(0.02)
    raise AssertionError("the registry does not answer")
