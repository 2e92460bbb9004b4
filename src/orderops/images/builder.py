"""The program that builds images: docker, podman or buildah, whichever is there and works.

`ORDEROPS_BUILDER` names one of them. The registry's password goes through their standard input into a file that lives
as long as the push; the operator's own logins are neither used for the push nor changed by it.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orderops.errors import OrderopsError, UsageError
from orderops.images.registry import Repository

Say = Callable[[str], None]

NAMES = ("docker", "podman", "buildah")
PLATFORM = "linux/amd64"  # as the task definitions say
ANSWERS_WITHIN = 20.0  # seconds: an engine that is starting or hangs is one that does not work
LAST_LINES = 15
QUIET = {
    "BUILDKIT_PROGRESS": "plain",
    "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",  # they make an index of every image, and the repository keeps so many
}


@dataclass(frozen=True)
class Builder:
    """A builder that was seen to work."""

    name: str
    program: str

    def build(self, image: str, dockerfile: Path, context: Path, say: Say) -> None:
        """Make an image of this name on this machine; what is unchanged since the last time is not made again."""
        # In a chroot buildah needs no container runtime and no right to cgroups: CI agents often have neither.
        layers = [] if self.name == "docker" else ["--layers"]
        chroot = ["--isolation", "chroot"] if self.name == "buildah" and "BUILDAH_ISOLATION" not in os.environ else []
        named = ["--platform", PLATFORM, "--tag", image, "--file", str(dockerfile)]
        self._run(["build", *layers, *chroot, *named, str(context)], say)

    def push(self, image: str, repository: Repository, tag: str, say: Say) -> None:
        """Send an image to a repository, under this tag."""
        there = f"{repository.host}/{repository.name}:{tag}"
        with tempfile.TemporaryDirectory(prefix="orderops-") as folder:
            if self.name == "docker":
                self._push_by_docker(image, there, repository, Path(folder), say)
            else:
                self._push_by_itself(image, there, repository, Path(folder), say)

    def _push_by_docker(self, image: str, there: str, repository: Repository, folder: Path, say: Say) -> None:
        _private_config(folder, repository.host)
        private = ["--config", str(folder)]
        self._run(["tag", image, there], say)
        self._run([*private, *_login(repository)], _silent, given=repository.password)
        self._run([*private, "push", there], say)

    def _push_by_itself(self, image: str, there: str, repository: Repository, folder: Path, say: Say) -> None:
        private = ["--authfile", str(folder / "auth.json"), f"--tls-verify={str(not repository.plain).lower()}"]
        verb, *rest = _login(repository)
        self._run([verb, *private, *rest], _silent, given=repository.password)
        self._run(["push", *private, image, f"docker://{there}"], say)

    def _run(self, arguments: Sequence[str], say: Say, *, given: str = "") -> None:
        """Run the builder, line by line into `say`; what it is given to read is a secret, and never in what is said."""
        last: deque[str] = deque(maxlen=LAST_LINES)
        with _process([self.program, *arguments]) as process:
            assert process.stdin is not None and process.stdout is not None
            with suppress(BrokenPipeError), process.stdin as pipe:
                pipe.write(given)
            for line in process.stdout:
                text = line.rstrip()
                text = text.replace(given, "(secret)") if given else text
                if text:
                    last.append(text)
                    say(text)
        if process.returncode:
            told = "\n".join(last) or "it said nothing"
            by_hand = shlex.join([self.name, *arguments])
            raise OrderopsError(f"{self.name} ended with {process.returncode}\n{told}", f"it was asked: {by_hand}")


def builder() -> Builder:
    """The builder to use: the one that ORDEROPS_BUILDER names, else the first that is there and answers."""
    chosen = os.environ.get("ORDEROPS_BUILDER", "")
    if chosen and chosen not in NAMES:
        raise UsageError(f"ORDEROPS_BUILDER: {chosen!r} is no image builder", f"known are {', '.join(NAMES)}")
    reasons = []
    for name in [chosen] if chosen else NAMES:
        program = shutil.which(name)
        reason = _why_not(name, program) if program else "is not installed"
        if program and not reason:
            return Builder(name, program)
        reasons.append(f"{name}: {reason}")
    raise OrderopsError(
        "no image builder works here\n" + "\n".join(reasons),
        "start Docker, or install one: apt-get install buildah (brew install podman); "
        "or run an image that is there: --image URI",
    )


def _why_not(name: str, program: str) -> str:
    """Why a builder does not work, or nothing; a docker client says its own version without any engine."""
    question = ["version", "--format", "{{.Server.Version}}"] if name == "docker" else ["info"]
    try:
        told = subprocess.run(
            [program, *question],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWERS_WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"gives no answer within {ANSWERS_WITHIN:.0f} s"
    except OSError as error:
        return f"cannot be run: {(error.strerror or str(error)).lower()}"
    if told.returncode:
        return (told.stderr.strip().splitlines() or [f"ended with {told.returncode}"])[-1]
    if name == "docker" and not told.stdout[:1].isdigit():
        return "is not Docker's own client"
    return ""


@contextmanager
def _process(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive the reading of its output."""
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
    """A docker configuration with the operator's choice of engine and none of their logins.

    The empty entry of the registry keeps `docker login` from putting the password into the system's keychain.
    """
    own = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    told: Mapping[str, Any] = {}
    with suppress(OSError, ValueError):
        told = json.loads((own / "config.json").read_text(encoding="utf-8"))
    engine = {key: told[key] for key in ("currentContext",) if key in told}
    (folder / "config.json").write_text(json.dumps({**engine, "auths": {host: {}}}), encoding="utf-8")
    if (own / "contexts").is_dir():
        shutil.copytree(own / "contexts", folder / "contexts")


def _silent(_line: str) -> None:
    pass
