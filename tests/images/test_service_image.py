"""The image of the order processor holds RDS's certificates, and its code verifies servers with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from orderops.aws.client import Aws
from orderops.config.environment import Environment, load_environment
from orderops.errors import OrderopsError
from orderops.images.builder import builder
from orderops.images.content_hash import content_tag
from orderops.images.resolve import image_of
from orderops.local.rds.postgres import PostgresServer
from support.service_sources import copy_program, copy_sources, write_script
from support.tls_proxy import HOST, Authority, tls_front

pytest_plugins = ["support.postgres_fixtures"]

ENDPOINT = "orders.c1a2b3.ap-southeast-2.rds.amazonaws.com"
ROOTS = Path("src/orderops/database/roots")
DOCKERFILE = Path("src/orderops/service/Dockerfile")
BASE = "localhost/base:1"
# Python comes from a registry that a test cannot reach. `python -m venv` makes a pip, and that pip copies the package
# instead of resolving what it needs.
STAND_IN = """#!/bin/sh
mkdir -p "$3/bin" "$3/lib"
printf '#!/bin/sh\\ncp -r src/orderops /opt/service/lib/orderops\\n' > "$3/bin/pip"
chmod 755 "$3/bin/pip"
"""
CLIENT = """
import sys
from orderops.service.address import Address
from orderops.service.circuit import Away
from orderops.service.database import OrderStore
from orderops.service.settings import read_settings
import os
assert "/opt/service/lib/orderops/" in sys.modules["orderops.service"].__file__

class Book:
    def address(self):
        return Address(os.environ["AT"], int(os.environ["DB_PORT"]), "postgres", "verify-full", os.environ["DB_USER"],
                       os.environ["DB_PASSWORD"])
    def after_failed_login(self, failed):
        return failed

try:
    OrderStore(Book(), pool_size=1, ca=read_settings(os.environ).ca_file).check()
    print("connected")
except Away as error:
    print(error)
"""


@dataclass
class Image:
    """The file system of an image and the variables that it sets."""

    root: Path
    variables: dict[str, str]


@dataclass
class Buildah:
    """A real builder with a store of its own."""

    work: Path

    def __call__(self, *arguments: str) -> None:
        store = ["--root", f"{self.work}/root", "--runroot", f"{self.work}/run", "--storage-driver", "vfs"]
        result = subprocess.run(["buildah", *store, *arguments], capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr + result.stdout

    def build(self, context: Path, dockerfile: Path, image: str) -> None:
        given = ["--build-arg", f"BASE={BASE}", "--tag", image, "--file", str(dockerfile), str(context)]
        self("build", "--isolation", "chroot", "--pull=never", *given)

    def extracted(self, image: str) -> Image:
        out, root = self.work / "image", self.work / "extracted"
        self("push", image, f"dir:{out}")
        manifest = json.loads((out / "manifest.json").read_text())
        for layer in manifest["layers"]:
            with tarfile.open(out / layer["digest"].removeprefix("sha256:")) as archive:
                archive.extractall(root, filter="fully_trusted")
        config = json.loads((out / manifest["config"]["digest"].removeprefix("sha256:")).read_text())["config"]
        return Image(root, dict(variable.split("=", 1) for variable in config["Env"]))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "Amazon RDS ap-southeast-2 Root CA RSA2048 G1")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Image:
    """The shipped Dockerfile, built from this checkout with the test's root certificate in place of RDS's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORDEROPS_BUILDER", "buildah")
        try:
            builder()
        except OrderopsError as refusal:
            pytest.skip(f"needs buildah, apt-get install buildah: {refusal.message.splitlines()[-1]}")
    work = tmp_path_factory.mktemp("build")
    context = copy_sources(work / "context")
    (context / ROOTS / "aws.pem").write_bytes(authority.bundle.read_bytes())
    # As in a checkout of a careful user: only the owner may read it.
    (context / ROOTS / "aws.pem").chmod(0o600)
    buildah = Buildah(work)
    buildah.build(*stand_in(work / "base"), BASE)
    buildah.build(context, context / DOCKERFILE, "localhost/order-processor:1")
    return buildah.extracted("localhost/order-processor:1")


def test_the_image_holds_certificates_that_every_user_can_read(image: Image, authority: Authority) -> None:
    folder = image.root / image.variables["DATABASE_CA"].lstrip("/")

    assert (folder / "aws.pem").read_bytes() == authority.bundle.read_bytes()
    assert (folder / "aws.pem").stat().st_mode & 0o444 == 0o444


def test_the_service_in_the_image_accepts_a_server_with_rds_certificates(
    image: Image, authority: Authority, postgres: PostgresServer
) -> None:
    with tls_front(postgres.port, authority.certificate(ENDPOINT)) as front:
        assert connected(image, front.port, postgres) == "connected"


def test_the_service_in_the_image_rejects_a_server_of_another_authority(
    image: Image, postgres: PostgresServer, tmp_path: Path
) -> None:
    with tls_front(postgres.port, Authority(tmp_path, "somebody else").certificate(ENDPOINT)) as front:
        reason = f"the certificate of {ENDPOINT}:{front.port} is not signed by the CA bundle in DATABASE_CA"
        assert connected(image, front.port, postgres) == reason
        assert front.let_in == []


def test_the_service_in_the_image_rejects_a_server_with_another_name(
    image: Image, authority: Authority, postgres: PostgresServer
) -> None:
    other = ENDPOINT.replace("orders", "billing")
    with tls_front(postgres.port, authority.certificate(other)) as front:
        assert f'server certificate for "{other}" does not match host name' in connected(image, front.port, postgres)
        assert front.let_in == []


def test_the_service_names_a_file_of_certificates_that_its_image_lacks(image: Image, postgres: PostgresServer) -> None:
    told = connected(image, postgres.port, postgres, region="cn-north-1")

    assert told.startswith("sslmode verify-full needs a CA bundle: ")
    assert told.endswith("/etc/ssl/rds/aws-cn.pem does not exist in this image")


def test_other_certificates_make_another_image(tmp_path: Path) -> None:
    context = copy_sources(tmp_path / "context")
    before = content_tag(context, context / DOCKERFILE)

    with (context / ROOTS / "aws.pem").open("a") as bundle:
        bundle.write("\n")

    assert content_tag(context, context / DOCKERFILE) != before


def test_no_image_is_built_without_the_certificates_of_its_region(aws: Aws, tmp_path: Path) -> None:
    context = copy_sources(tmp_path / "context")

    with pytest.raises(OrderopsError) as refused:
        image_of(aws, environment(tmp_path, "us-gov-west-1"), "orders", context=context)

    file = context / ROOTS / "aws-us-gov.pem"
    assert refused.value.message.startswith(f"{file} has no RDS certificates of us-gov-west-1")
    url = "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem"
    assert f"curl -fo {file} {url}" in refused.value.hint


@pytest.mark.parametrize(
    "settings", ['sslmode = "require"', "[services.orders]\ndockerfile = 'src/orderops/service/Dockerfile'"]
)
def test_an_image_that_verifies_nothing_or_is_not_ours_needs_no_certificates(
    aws: Aws, tmp_path: Path, settings: str
) -> None:
    context = copy_sources(tmp_path / "context")

    assert image_of(aws, environment(tmp_path, "us-gov-west-1", settings), "orders", context=context).pending


def environment(tmp_path: Path, region: str, settings: str = "") -> Environment:
    services = "" if "[services.orders]" in settings else "[services.orders]\n"
    (tmp_path / "dev.toml").write_text(f'region = "{region}"\n[database]\n{settings}\n{services}')
    return load_environment("dev", tmp_path)


def stand_in(folder: Path) -> tuple[Path, Path]:
    """A base image with a shell and a few of this machine's programs, and the scripts above."""
    root = folder / "root"
    for name in ("sh", "mkdir", "chmod", "cp", "install", "cat"):
        copy_program(name, root)
    for name, text in (("python", STAND_IN), ("useradd", "#!/bin/sh\n")):
        write_script(root / "bin" / name, text)
    (root / "tmp").mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY root /\nENV PATH=/bin\n")
    return folder, folder / "Dockerfile"


def connected(image: Image, port: int, server: PostgresServer, region: str = "ap-southeast-2") -> str:
    """What the service's code says, taken from the image and run by this machine's Python."""
    folder = image.root / image.variables["DATABASE_CA"].lstrip("/")
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(image.root / "opt/service/lib"),
        "PGHOSTADDR": HOST,
        "DATABASE_CA": str(folder),
        "AWS_REGION": region,
        "ORDEROPS_ENVIRONMENT": "dev",
        "QUEUE_URL": "https://sqs.ap-southeast-2.amazonaws.com/1/orders",
        "DATABASE_SECRET": "orderops/dev/database",
        "AT": ENDPOINT,
        "DB_PORT": str(port),
        "DB_USER": server.administrator,
        "DB_PASSWORD": server.password,
    }
    result = subprocess.run(
        [sys.executable, "-P", "-c", CLIENT], env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()
