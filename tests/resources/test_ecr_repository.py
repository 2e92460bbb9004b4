"""ECR repositories."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.engine.resource import Observed
from orderops.engine.step import Action
from orderops.errors import AwsError, Unfinished
from orderops.resources.ecr_repository import EcrRepository
from support.contract import Up, keeps_its_promises, remove
from support.faults import Fault, PowerCut

IMAGES = EcrRepository("orderops-dev-order-processor", keep=30)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(IMAGES, aws, up, keep=50)


def test_drift_is_repaired(aws: Aws, up: Up) -> None:
    up(IMAGES)
    aws.ecr.put_image_tag_mutability(repositoryName=IMAGES.name, imageTagMutability="MUTABLE")
    aws.ecr.put_image_scanning_configuration(
        repositoryName=IMAGES.name, imageScanningConfiguration={"scanOnPush": False}
    )

    assert up(IMAGES)[IMAGES.address].changes == {
        "ImageTagMutability": ("MUTABLE", "IMMUTABLE"),
        "ScanOnPush": (False, True),
    }
    assert up(IMAGES)[IMAGES.address].action is Action.NO_OP


def test_a_lifecycle_policy_in_other_spaces_is_the_same(aws: Aws, up: Up) -> None:
    up(IMAGES)
    text = aws.ecr.get_lifecycle_policy(repositoryName=IMAGES.name)["lifecyclePolicyText"]
    spaced = json.dumps(json.loads(text), indent=4, sort_keys=True)
    aws.ecr.put_lifecycle_policy(repositoryName=IMAGES.name, lifecyclePolicyText=spaced)

    assert up(IMAGES)[IMAGES.address].action is Action.NO_OP


def test_the_repository_uri_is_an_output(aws: Aws, up: Up) -> None:
    up(IMAGES)

    assert _live(aws).properties["RepositoryUri"].endswith("amazonaws.com/orderops-dev-order-processor")


def test_another_encryption_is_an_error(aws: Aws, up: Up) -> None:
    aws.ecr.create_repository(repositoryName=IMAGES.name, encryptionConfiguration={"encryptionType": "KMS"})

    with pytest.raises(Unfinished, match=r"EncryptionType cannot be changed on an existing resource \(observed 'KMS'"):
        up(IMAGES, adopt=[IMAGES.address])


@pytest.mark.parametrize("call", range(4))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("ecr", after=call), pytest.raises(PowerCut):
        up(IMAGES)

    up(IMAGES)

    assert up(IMAGES)[IMAGES.address].action is Action.NO_OP
    assert len(aws.ecr.describe_repositories()["repositories"]) == 1


def test_the_resource_is_read_again_after_a_lost_answer(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("ecr", "CreateRepository"):
        assert up(IMAGES)[IMAGES.address].action is Action.CREATE


def test_images_are_reported_and_deleted_with_the_repository(aws: Aws, up: Up) -> None:
    up(IMAGES)
    assert EcrRepository.holds(aws, _live(aws)) == ""
    manifest = {"schemaVersion": 2, "config": {"digest": "sha256:" + "0" * 64, "size": 1}, "layers": []}
    aws.ecr.put_image(
        repositoryName=IMAGES.name,
        imageManifest=json.dumps(manifest),
        imageManifestMediaType="application/vnd.docker.distribution.manifest.v2+json",
        imageTag="1",
    )
    assert EcrRepository.holds(aws, _live(aws)) == "1 image"

    remove(IMAGES, aws)

    with pytest.raises(AwsError, match="RepositoryNotFoundException"):
        aws.ecr.describe_repositories(repositoryNames=[IMAGES.name])


def test_a_bill_of_materials_is_not_counted_as_an_image() -> None:
    """DescribeImages names the subject of what refers to an image; moto knows no such artifacts."""
    image = {"imageDigest": "sha256:1", "imageTags": ["1.4.0"]}
    bill = {"imageDigest": "sha256:2", "imageTags": ["sbom-1"], "subjectManifestDigest": "sha256:1"}
    call = SimpleNamespace(service="ecr", operation="describe_images")
    call.aws = SimpleNamespace(send=lambda *_, pages: [{"imageDetails": [image, bill]}])
    fake: Any = SimpleNamespace(ecr=SimpleNamespace(describe_images=call))

    assert EcrRepository.holds(fake, Observed(IMAGES.name, {})) == "1 image"


def _live(aws: Aws) -> Observed:
    raw = aws.ecr.describe_repositories(repositoryNames=[IMAGES.name])["repositories"][0]
    return Observed(raw["repositoryName"], {"RepositoryUri": raw["repositoryUri"]})
