"""ECR repository for the images of a service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from orderops.aws.client import Aws, every, if_found
from orderops.aws.ownership import Ownership, Tags, from_pairs, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.frozen import replace

UNTAGGED_DAYS = 7
RELEASED = "released-"
"""Prefix of the tag that an image has while a service runs it or may return to it."""
SBOM = "sbom-"
"""Prefix of the tag of an image's software bill of materials."""
OWN_TAGS = (RELEASED, SBOM)
# Never reached: an image loses the tag when it is no longer needed.
MOST_RELEASED = 1000


class EcrRepository(Resource):
    """Keeps the newest `keep` images with their artifacts, and those of releases. Tags are immutable."""

    keep: int = 30

    kind: ClassVar[str] = "ecr-repository"
    name_rule: ClassVar[NameRule | None] = NameRule(
        256, r"(?=.{2})[a-z0-9]+([._/-][a-z0-9]+)*", "lower-case letters, digits and single . _ / -"
    )
    arn_form: ClassVar[str] = "arn:{partition}:ecr:{region}:{account}:repository/{name}"
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {"RepositoryNotFoundException", "RepositoryAlreadyExistsException"}
    )
    # CloudFormation replaces a repository for it as well: AWS has no call that changes the encryption.
    immutable: ClassVar[frozenset[str]] = frozenset({"EncryptionType"})

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.ecr.describe_repositories, "repositories", maxResults=1000):
            if raw["repositoryName"].startswith(owner.prefix):
                yield Observed(
                    raw["repositoryName"],
                    {
                        "ImageTagMutability": raw["imageTagMutability"],
                        "ScanOnPush": raw.get("imageScanningConfiguration", {}).get("scanOnPush", False),
                        "EncryptionType": raw.get("encryptionConfiguration", {}).get("encryptionType", "AES256"),
                        "RepositoryUri": raw["repositoryUri"],
                    },
                    name=raw["repositoryName"],
                    arn=raw["repositoryArn"],
                )

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        response = if_found(
            aws.ecr.get_lifecycle_policy, "LifecyclePolicyNotFoundException", repositoryName=observed.id
        )
        policy = response and json.loads(response["lifecyclePolicyText"])
        return replace(observed, properties={**observed.properties, "LifecyclePolicy": policy})

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        return from_pairs(aws.ecr.list_tags_for_resource(resourceArn=observed.arn).get("tags"))

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.ecr.tag_resource(resourceArn=observed.arn, tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "ImageTagMutability": "IMMUTABLE",
            "ScanOnPush": True,
            "EncryptionType": "AES256",
            "LifecyclePolicy": _lifecycle(self.keep),
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.ecr.create_repository(
            repositoryName=self.name,
            imageTagMutability=desired["ImageTagMutability"],
            imageScanningConfiguration={"scanOnPush": desired["ScanOnPush"]},
            encryptionConfiguration={"encryptionType": desired["EncryptionType"]},
            tags=owner.pairs,
        )

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if "ImageTagMutability" in changed:
            aws.ecr.put_image_tag_mutability(
                repositoryName=observed.id, imageTagMutability=changed["ImageTagMutability"]
            )
        if "ScanOnPush" in changed:
            aws.ecr.put_image_scanning_configuration(
                repositoryName=observed.id, imageScanningConfiguration={"scanOnPush": changed["ScanOnPush"]}
            )
        if "LifecyclePolicy" in changed:
            text = json.dumps(changed["LifecyclePolicy"])
            aws.ecr.put_lifecycle_policy(repositoryName=observed.id, lifecyclePolicyText=text)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.ecr.delete_repository(repositoryName=observed.id, force=True)

    @classmethod
    def holds(cls, aws: Aws, observed: Observed) -> str:
        listing = every(aws.ecr.describe_images, "imageDetails", repositoryName=observed.id, maxResults=1000)
        # What refers to an image is not one, such as its bill of materials.
        count = sum(1 for raw in listing if not raw.get("subjectManifestDigest"))
        return f"{count} image{'s' * (count > 1)}" if count else ""


def _lifecycle(keep: int) -> dict[str, Any]:
    # AWS: an image that matches the tags of a rule is never expired by a rule behind it (ECR User Guide, "Lifecycle
    # policy evaluation rules"). So the first rule protects, whatever the last one counts.
    released = {"tagStatus": "tagged", "tagPrefixList": [RELEASED]}
    return {
        "rules": [
            _rule(1, "released images stay", {**released, **_more_than(MOST_RELEASED)}),
            _rule(
                2,
                f"untagged images go after {UNTAGGED_DAYS} days",
                {
                    "tagStatus": "untagged",
                    "countType": "sinceImagePushed",
                    "countUnit": "days",
                    "countNumber": UNTAGGED_DAYS,
                },
            ),
            # ECR counts artifacts among the images (aws/containers-roadmap#2613), and an image has one: its bill of
            # materials, pushed right after it.
            _rule(
                3,
                f"the newest {keep} images stay, each with its bill of materials",
                {"tagStatus": "any", **_more_than(2 * keep)},
            ),
        ]
    }


def _rule(priority: int, description: str, selection: dict[str, Any]) -> dict[str, Any]:
    return {
        "rulePriority": priority,
        "description": description,
        "selection": selection,
        "action": {"type": "expire"},
    }


def _more_than(count: int) -> dict[str, Any]:
    return {"countType": "imageCountMoreThan", "countNumber": count}
