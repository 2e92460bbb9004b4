"""The program that builds images: the first of docker, podman and buildah that works.

`ORDEROPS_BUILDER` selects one of them. The builder reads the registry's password from standard input and stores it in
a file that is deleted after the push. A push neither uses nor changes the operator's own logins.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from orderops.errors import OrderopsError, UsageError
from orderops.frozen import Frozen
from orderops.images.registry import Repository

Say = Callable[[str], None]

NAMES = ("docker", "podman", "buildah")
# The architecture that the task definitions request; a laptop with an ARM processor would build another one.
PLATFORM = "linux/amd64"
# Seconds. The check of an engine that is starting or hangs would otherwise never return.
ANSWERS_WITHIN = 20.0
LAST_LINES = 15
QUIET = {
    "BUILDKIT_PROGRESS": "plain",
    # Attestations turn every image into an index of several, and the repository keeps a limited number of images.
    "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
}


class Builder(Frozen):
    """An image builder that answered."""

    name: str
    program: str

    def build(
        self,
        image: str,
        dockerfile: Path,
        context: Path,
        say: Say,
        *,
        arguments: Mapping[str, str] = {},
        labels: Mapping[str, str] = {},
        created_at: int | None = None,
    ) -> None:
        """Build an image with this name on this machine; layers without changes come from the cache.

        `created_at` is the time that the image carries, in seconds since 1970, in place of the time of the build.
        """
        # With chroot isolation, buildah needs no container runtime and no cgroups; CI agents often have neither.
        layers = [] if self.name == "docker" else ["--layers"]
        chroot = ["--isolation", "chroot"] if self.name == "buildah" and "BUILDAH_ISOLATION" not in os.environ else []
        # Docker takes it from the argument SOURCE_DATE_EPOCH.
        time = [] if created_at is None or self.name == "docker" else ["--timestamp", str(created_at)]
        given = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        labelled = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
        named = ["--platform", PLATFORM, "--tag", image, "--file", str(dockerfile)]
        self._run(["build", *layers, *chroot, *time, *given, *labelled, *named, str(context)], say)

    def push(self, image: str, repository: Repository, tag: str, say: Say) -> None:
        """Push an image to a repository with this tag."""
        destination = f"{repository.host}/{repository.name}:{tag}"
        with tempfile.TemporaryDirectory(prefix="orderops-") as folder:
            if self.name == "docker":
                self._push_with_docker(image, destination, repository, Path(folder), say)
            else:
                self._push_with_authfile(image, destination, repository, Path(folder), say)

    def _push_with_docker(self, image: str, destination: str, repository: Repository, folder: Path, say: Say) -> None:
        _private_config(folder, repository.host)
        private = ["--config", str(folder)]
        self._run(["tag", image, destination], say)
        self._run([*private, *_login(repository)], _silent, secret_input=repository.password)
        self._run([*private, "push", destination], say)

    def _push_with_authfile(self, image: str, destination: str, repository: Repository, folder: Path, say: Say) -> None:
        private = ["--authfile", str(folder / "auth.json"), f"--tls-verify={str(not repository.plain).lower()}"]
        verb, *rest = _login(repository)
        self._run([verb, *private, *rest], _silent, secret_input=repository.password)
        self._run(["push", *private, image, f"docker://{destination}"], say)

    def _run(self, arguments: Sequence[str], say: Say, *, secret_input: str = "") -> None:
        """Run the builder and pass its output to `say` line by line; `secret_input` is redacted in the output."""
        last: deque[str] = deque(maxlen=LAST_LINES)
        with _process([self.program, *arguments]) as process:
            assert process.stdin is not None and process.stdout is not None
            with suppress(BrokenPipeError), process.stdin as pipe:
                pipe.write(secret_input)
            for line in process.stdout:
                text = line.rstrip()
                text = text.replace(secret_input, "(secret)") if secret_input else text
                if text:
                    last.append(text)
                    say(text)
        if process.returncode:
            output = "\n".join(last) or "(no output)"
            command = shlex.join([self.name, *arguments])
            raise OrderopsError(f"{self.name} ended with {process.returncode}\n{output}", f"the command was: {command}")


def builder() -> Builder:
    """Find the builder to use: the one that ORDEROPS_BUILDER names, else the first that works."""
    chosen = os.environ.get("ORDEROPS_BUILDER", "")
    if chosen and chosen not in NAMES:
        raise UsageError(f"ORDEROPS_BUILDER: {chosen!r} is not an image builder", f"use one of {', '.join(NAMES)}")
    reasons = []
    for name in [chosen] if chosen else NAMES:
        program = shutil.which(name)
        reason = _failure_of(name, program) if program else "is not installed"
        if program and not reason:
            return Builder(name, program)
        reasons.append(f"{name}: {reason}")
    raise OrderopsError(
        "no image builder works on this machine\n" + "\n".join(reasons),
        "start Docker, or install one: apt-get install buildah (brew install podman); "
        "or run an existing image: --image URI",
    )


def _failure_of(name: str, program: str) -> str:
    """Return why a builder does not work, or an empty string."""
    # Without the format, a docker client prints its own version even if it reaches no engine.
    probe = ["version", "--format", "{{.Server.Version}}"] if name == "docker" else ["info"]
    try:
        result = subprocess.run(
            [program, *probe],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWERS_WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"does not answer within {ANSWERS_WITHIN:.0f} s"
    except OSError as error:
        return f"cannot be run: {(error.strerror or str(error)).lower()}"
    if result.returncode:
        return (result.stderr.strip().splitlines() or [f"ended with {result.returncode}"])[-1]
    if name == "docker" and not result.stdout[:1].isdigit():
        return "is not Docker's own client"
    return ""


@contextmanager
def _process(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a process; it is terminated if reading its output fails."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **QUIET},
    ) as process:
        try:
            yield process
        except BaseException:
            process.terminate()
            raise


def _login(repository: Repository) -> list[str]:
    return ["login", "--username", repository.user, "--password-stdin", repository.host]


def _private_config(folder: Path, host: str) -> None:
    """Write a docker configuration with the operator's engine (context) and without the operator's logins."""
    own_folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    own_config: Mapping[str, Any] = {}
    with suppress(OSError, ValueError):
        own_config = json.loads((own_folder / "config.json").read_text(encoding="utf-8"))
    engine = {key: own_config[key] for key in ("currentContext",) if key in own_config}
    # Without an entry for the registry, `docker login` stores the password in the system's keychain.
    (folder / "config.json").write_text(json.dumps({**engine, "auths": {host: {}}}), encoding="utf-8")
    if (own_folder / "contexts").is_dir():
        shutil.copytree(own_folder / "contexts", folder / "contexts")


def _silent(_line: str) -> None:
    pass
