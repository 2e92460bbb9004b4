"""No image that a service runs, or may return to, is expired by the lifecycle policy of its repository."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.aws.client import Aws
from orderops.config.environment import Environment, load_environment
from orderops.engine.resource import Outputs
from orderops.images.retention import keep_released, tag_of
from orderops.resources.ecr_repository import EcrRepository
from support.ecr_lifecycle import Image, expired

NAME = "orderops-dev-orders"
CLUSTER = "orderops-dev-cluster"
HOST = "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com"
START = datetime(2026, 1, 1, tzinfo=UTC)
KEPT = 10
EMPTY = {
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "size": 2,
}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    (tmp_path / "dev.toml").write_text("[database]\n[services.orders]\n")
    return load_environment("dev", tmp_path)


@dataclass
class Shop:
    """A service, its repository, and a clock. Pushes and releases go through the real API calls."""

    aws: Aws
    environment: Environment
    policy: Any
    now: datetime = START
    pushed: dict[str, datetime] = field(default_factory=dict)
    bills: dict[str, str] = field(default_factory=dict)
    """The image of each bill of materials."""
    releases: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.aws.ecr.create_repository(repositoryName=NAME, imageTagMutability="IMMUTABLE")
        self.aws.ecs.create_cluster(clusterName=CLUSTER)

    def push(self, content: str) -> str:
        config = {
            "mediaType": "application/json",
            "size": 1,
            "digest": f"sha256:{sha256(content.encode()).hexdigest()}",
        }
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []})
        # The digest of an image is that of its manifest's bytes; moto would hash its layers.
        digest = f"sha256:{sha256(manifest.encode()).hexdigest()}"
        tag = f"src-{content}"
        self.aws.ecr.put_image(repositoryName=NAME, imageManifest=manifest, imageTag=tag, imageDigest=digest)
        self.pushed[digest] = self.now
        self.bills[self._attach(digest)] = digest
        return digest

    def _attach(self, image: str) -> str:
        """Push a bill of materials as `orderops service build` does, a moment after its image."""
        subject = {"mediaType": MANIFEST, "digest": image, "size": 1}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": EMPTY, "subject": subject})
        digest = f"sha256:{sha256(manifest.encode()).hexdigest()}"
        tag = f"sbom-{image.removeprefix('sha256:')[:16]}"
        self.aws.ecr.put_image(repositoryName=NAME, imageManifest=manifest, imageTag=tag, imageDigest=digest)
        self.pushed[digest] = self.now + timedelta(seconds=5)
        return digest

    def release(self, digest: str, *, succeeds: bool = True) -> None:
        uri = f"{HOST}/{NAME}@{digest}"
        keep_released(self.aws, self.environment, CLUSTER, {"orders": uri})
        container = {"name": "orders", "image": uri, "memory": 512}
        made = self.aws.ecs.register_task_definition(family=NAME, containerDefinitions=[container])
        if succeeds and not self.releases:
            self.aws.ecs.create_service(cluster=CLUSTER, serviceName=NAME, taskDefinition=NAME, desiredCount=1)
        elif succeeds:
            # On AWS the new deployment takes the place of the old one; in moto the first stays for ever.
            for service in get_backend("ecs")[DEFAULT_ACCOUNT_ID]["ap-southeast-2"].services.values():
                service.deployments[0]["taskDefinition"] = made["taskDefinition"]["taskDefinitionArn"]
        self.releases.append(digest)

    def clean_up(self) -> set[str]:
        """Do what ECR does within a day."""
        gone = expired(self.policy, self.images(), self.now)
        if gone:
            ids = [{"imageDigest": digest} for digest in sorted(gone)]
            self.aws.ecr.batch_delete_image(repositoryName=NAME, imageIds=ids)
        return gone

    def images(self) -> list[Image]:
        details = self.aws.ecr.describe_images(repositoryName=NAME)["imageDetails"]
        return [
            Image(
                raw["imageDigest"],
                self.pushed[raw["imageDigest"]],
                frozenset(raw.get("imageTags", ())),
                subject=self.bills.get(raw["imageDigest"], ""),
            )
            for raw in details
        ]

    @property
    def with_bills(self) -> set[str]:
        return {image.subject for image in self.images() if image.subject}

    @property
    def protected(self) -> set[str]:
        return {image.digest for image in self.images() if tag_of(image.digest) in image.tags}


@pytest.fixture
def shop(aws: Aws, environment: Environment) -> Callable[[int], Shop]:
    return lambda keep: Shop(aws, environment, EcrRepository(NAME, keep=keep).desired(Outputs())["LifecyclePolicy"])


def test_a_year_of_builds_and_releases_expires_nothing_that_may_run_again(shop: Callable[[int], Shop]) -> None:
    orders = shop(5)
    expired_in_all: set[str] = set()
    for week in range(52):
        orders.now = START + timedelta(weeks=week)
        # Most builds are never released, and for months nothing is: the release of June runs until September.
        builds = [orders.push(f"{week}-{number}") for number in range(3)]
        if week % 3 == 0 and not 22 <= week <= 36:
            orders.release(builds[0])
        expired_in_all |= orders.clean_up()

        existing = {image.digest for image in orders.images()}
        assert set(orders.releases[-KEPT:]) <= existing, f"week {week}"
        assert set(orders.releases[-KEPT:]) <= orders.with_bills, f"week {week}"

    existing = {image.digest for image in orders.images()} - orders.bills.keys()
    # Everything else is cleaned up: the repository does not grow with the number of builds.
    assert len(existing) <= KEPT + 1 + 5
    assert len(expired_in_all) > 52 * 2 - 20
    assert orders.releases[0] in expired_in_all


def test_the_running_image_stays_however_many_later_releases_failed(shop: Callable[[int], Shop]) -> None:
    orders = shop(1)
    running = orders.push("good")
    orders.release(running)
    for number in range(15):
        orders.now += timedelta(days=1)
        orders.release(orders.push(f"bad-{number}"), succeeds=False)
        orders.clean_up()

    assert running in {image.digest for image in orders.images()}
    assert running in orders.protected


def test_an_image_that_was_released_long_ago_loses_its_tag_and_expires(shop: Callable[[int], Shop]) -> None:
    orders = shop(1)
    first = orders.push("first")
    orders.release(first)
    for number in range(KEPT):
        orders.now += timedelta(days=1)
        orders.release(orders.push(str(number)))
        assert (first in orders.protected) == (number < KEPT)
    orders.now += timedelta(days=1)
    orders.release(orders.push("last"))

    assert first not in orders.protected
    assert first in orders.clean_up()


def test_repeating_a_release_changes_no_tag(shop: Callable[[int], Shop], aws: Aws) -> None:
    orders = shop(5)
    digest = orders.push("one")
    for _ in range(2):
        keep_released(aws, orders.environment, CLUSTER, {"orders": f"{HOST}/{NAME}@{digest}"})

    tags = {image.digest: image.tags for image in orders.images()}
    (bill,) = orders.bills
    assert tags[digest] == {"src-one", tag_of(digest)}
    assert tags[bill] == {f"sbom-{digest[7:23]}", tag_of(bill)}


@pytest.mark.parametrize(
    "image",
    [
        "process://orderops.service",
        "registry.example.com/orders@sha256:" + "a" * 64,
        f"{HOST}/other@sha256:" + "a" * 64,
    ],
)
def test_images_outside_the_repository_of_the_service_are_left_alone(
    aws: Aws, environment: Environment, image: str
) -> None:
    # There is no repository and no cluster: any call would fail.
    keep_released(aws, environment, CLUSTER, {"orders": image})


def test_a_repository_keeps_as_many_images_as_declared_each_with_its_bill(shop: Callable[[int], Shop]) -> None:
    orders = shop(5)
    for number in range(12):
        orders.now += timedelta(days=1)
        newest = orders.push(str(number))
        orders.clean_up()

    kept = {image.digest for image in orders.images()} - orders.bills.keys()
    assert len(kept) == 5
    assert newest in kept
    assert orders.with_bills == kept


def test_the_children_of_a_released_index_stay(shop: Callable[[int], Shop]) -> None:
    policy = shop(1).policy
    children = frozenset({"sha256:amd", "sha256:arm"})
    index = Image("sha256:index", START, frozenset({"src-1", "released-1"}), children)
    newer = Image("sha256:newer", START + timedelta(days=20), frozenset({"src-2"}))
    images = [index, newer, *(Image(child, START) for child in children), Image("sha256:stray", START)]

    assert expired(policy, images, START + timedelta(days=30)) == {"sha256:stray"}


def test_without_the_first_rule_the_running_image_would_expire(shop: Callable[[int], Shop]) -> None:
    """The evaluator finds what the rules before it did not prevent."""
    policy = {"rules": [rule for rule in shop(1).policy["rules"] if rule["rulePriority"] > 1]}
    running = Image("sha256:running", START, frozenset({"src-1", "released-1"}))
    newer = Image("sha256:newer", START + timedelta(days=1), frozenset({"src-2"}))
    bill = Image("sha256:bill", START + timedelta(days=1), frozenset({"sbom-2"}), subject="sha256:newer")

    assert expired(policy, [running, newer, bill], START + timedelta(days=2)) == {"sha256:running"}
