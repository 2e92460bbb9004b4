"""What tests of releases share: images in the emulator's registry, and builders that only write down what they hear."""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path

from orderops.aws.client import Aws

REPOSITORY = "orderops-dev-orders"
HOST = "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com"
SCRIPT = f"""#!{sys.executable}
import json, os, sys
from pathlib import Path
name, arguments = Path(sys.argv[0]).name, sys.argv[1:]
folder = Path(sys.argv[0]).parent
given = sys.stdin.read()
with (folder / "heard").open("a") as log:
    log.write(json.dumps([name, arguments, given]) + "\\n")
verb = next(each for each in arguments if each in ("version", "info", "build", "tag", "login", "push"))
if "--config" in arguments:
    (folder / f"config-at-{{verb}}").write_text((Path(arguments[1]) / "config.json").read_text())
print({{"version": "28.2.2"}}.get(verb, f"{{verb}} done"))
print(f"the password is {{given}}" if given else "", file=sys.stderr)
broken = folder / f"{{name}}-{{verb}}-fails"
if broken.exists():
    print(broken.read_text(), file=sys.stderr)
    sys.exit(125)
"""


class Bench:
    """A folder that is the whole PATH, with builders that only write down what they hear."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str) -> None:
        (self.folder / name).write_text(SCRIPT)
        (self.folder / name).chmod(0o755)

    def breaks(self, name: str, verb: str, saying: str) -> None:
        (self.folder / f"{name}-{verb}-fails").write_text(saying)

    @property
    def heard(self) -> list[tuple[str, list[str], str]]:
        log = self.folder / "heard"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def verbs(self) -> list[str]:
        known = ("build", "tag", "login", "push")
        return [each for _, arguments, _ in self.heard for each in arguments if each in known]


def put(aws: Aws, repository: str, *tags: str, content: str = "1") -> str:
    """An image in the emulator's repository, which is made when it is not there; answers its digest."""
    config = {"mediaType": "application/json", "size": 1, "digest": f"sha256:{content * 64}"}
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []}
    known = [each["repositoryName"] for each in aws.ecr.describe_repositories()["repositories"]]
    if repository not in known:
        aws.ecr.create_repository(repositoryName=repository, imageTagMutability="IMMUTABLE")
    text = json.dumps(manifest)
    # The digest of an image is that of its manifest's bytes; moto would hash its layers.
    digest = f"sha256:{sha256(text.encode()).hexdigest()}"
    for tag in tags:
        aws.ecr.put_image(repositoryName=repository, imageTag=tag, imageManifest=text, imageDigest=digest)
    told = aws.ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tags[0]}]) if tags else None
    return str(told["imageDetails"][0]["imageDigest"]) if told else ""


def silent(_line: str) -> None:
    pass
