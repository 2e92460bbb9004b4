"""IAM role that one AWS service may assume, with its permissions in one inline policy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws, every, if_found
from orderops.aws.ownership import Ownership, Tags, from_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Output, Outputs, Properties, Resource
from orderops.frozen import Frozen, field
from orderops.resources.ec2_dependents import named

POLICY = "orderops"
# AWS's limit for all inline policies of a role, in characters without white space.
MAX_POLICY = 10_240


class Allow(Frozen):
    """Actions allowed on some resources, or on ARNs given as text; `suffix` follows each resource's ARN.

    An output of "" stands for something that does not exist, and is left out.
    """

    actions: tuple[str, ...]
    on: tuple[Resource | Output | str, ...]
    suffix: str = ""
    only: Mapping[str, Mapping[str, str | list[str]]] = field(default_factory=dict)
    """The condition of the statement."""

    def statement(self, outputs: Outputs) -> dict[str, Any]:
        """The statement in IAM's words."""
        arns = sorted({arn for target in self.on if (arn := self._arn(target, outputs))})
        statement = {"Effect": "Allow", "Action": sorted(self.actions), "Resource": arns}
        return {**statement, "Condition": self.only} if self.only else statement

    def _arn(self, target: Resource | Output | str, outputs: Outputs) -> str:
        if isinstance(target, str):
            return target
        return target.read(outputs) if isinstance(target, Output) else outputs[target].arn + self.suffix


class IamRole(Resource):
    """Assumed by `principal`, such as `ecs-tasks.amazonaws.com`; has only the permissions in `allow`.

    A `permissions_boundary` limits these further: it is the ARN of a managed policy.
    """

    principal: str
    allow: tuple[Allow, ...] = ()
    path: str = "/"
    permissions_boundary: str | None = None

    kind: ClassVar[str] = "iam-role"
    name_rule: ClassVar[NameRule | None] = NameRule(64, r"[A-Za-z0-9_+=,.@-]+", "letters, digits and _+=,.@-")
    # IAM User Guide, "Changes that I make are not always immediately visible".
    lists_late: ClassVar[bool] = True
    needs_unused_to_delete: ClassVar[bool] = True
    permits: ClassVar[bool] = True
    arn_form: ClassVar[str] = "arn:{partition}:iam::{account}:role{resource.path}{name}"
    immutable: ClassVar[frozenset[str]] = frozenset({"Path"})
    replacement_hint: ClassVar[str] = (
        "AWS cannot move a role: set path under [iam] back; to move it, remove what uses it, then the role: {remove}"
    )
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "NoSuchEntity",
            "EntityAlreadyExists",
            "DeleteConflict",
            "ConcurrentModification",
            # The principal of a trust policy may itself be only seconds old.
            "MalformedPolicyDocument: Invalid principal",
        }
    )

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        if owner.address:
            yield from _one(aws, owner.name)
            return
        for raw in roles(aws):
            if raw["RoleName"].startswith(owner.prefix):
                inline = {policy["PolicyName"]: policy["PolicyDocument"] for policy in raw.get("RolePolicyList", ())}
                yield _observed(raw, inline, raw.get("AttachedManagedPolicies", ()))

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.iam.tag_role(RoleName=observed.name, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])

    def desired(self, outputs: Outputs) -> Properties:
        trust = {"Effect": "Allow", "Principal": {"Service": self.principal}, "Action": "sts:AssumeRole"}
        policy = [statement.statement(outputs) for statement in self.allow]
        return {
            "AssumeRolePolicyDocument": canonical({"Version": "2012-10-17", "Statement": [trust]}),
            "InlinePolicies": {POLICY: canonical({"Version": "2012-10-17", "Statement": policy})} if policy else {},
            "ManagedPolicies": [],
            "Path": self.path,
            "PermissionsBoundary": self.permissions_boundary,
        }

    def widened(self, observed: Properties, desired: Properties) -> Properties:
        """Keep the statements of our policy that are no longer desired: running tasks may still need them."""
        mine, wanted = (
            properties["InlinePolicies"].get(POLICY, {}).get("Statement", []) for properties in (observed, desired)
        )
        statements = [*wanted, *(statement for statement in mine if statement not in wanted)]
        wide = canonical({"Version": "2012-10-17", "Statement": statements})
        if statements == wanted or len(json.dumps(wide, separators=(",", ":"))) > MAX_POLICY:
            return desired
        return {**desired, "InlinePolicies": {**desired["InlinePolicies"], POLICY: wide}}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        # In the call itself: an account may allow only roles that have the boundary from the start.
        boundary = desired["PermissionsBoundary"]
        limits = {"PermissionsBoundary": boundary} if boundary else {}
        aws.iam.create_role(
            RoleName=self.name,
            Path=desired["Path"],
            **limits,
            AssumeRolePolicyDocument=json.dumps(desired["AssumeRolePolicyDocument"]),
            Description="made by orderops",
            Tags=owner.pairs,
        )

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if "PermissionsBoundary" in changed:
            # Before the policies, which an account may allow to be changed only within the boundary.
            _set_boundary(aws, observed, changed["PermissionsBoundary"])
        if "AssumeRolePolicyDocument" in changed:
            document = json.dumps(changed["AssumeRolePolicyDocument"])
            aws.iam.update_assume_role_policy(RoleName=observed.name, PolicyDocument=document)
        if "InlinePolicies" in changed:
            _set_inline(aws, observed, changed["InlinePolicies"])
        if "ManagedPolicies" in changed:
            _detach(aws, observed)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        _detach(aws, observed)
        _set_inline(aws, observed, {})
        aws.iam.delete_role(RoleName=observed.name)

    @classmethod
    def blockers(cls, aws: Aws, observed: Observed) -> str:
        profiles = every(aws.iam.list_instance_profiles_for_role, "InstanceProfiles", RoleName=observed.name)
        return named(f"instance profile {raw['InstanceProfileName']}" for raw in profiles)


def roles(aws: Aws) -> Iterator[dict[str, Any]]:
    """All roles of the account with their policies, in one call for a hundred of them."""
    return every(aws.iam.get_account_authorization_details, "RoleDetailList", Filter=["Role"])


def canonical(policy: Mapping[str, Any]) -> dict[str, Any]:
    """A policy in a form that can be compared: lists sorted, single values as lists."""
    statements = policy.get("Statement", [])
    statements = [statements] if isinstance(statements, Mapping) else statements
    written = [{key: _sorted(key, value) for key, value in statement.items()} for statement in statements]
    return {**policy, "Statement": sorted(written, key=lambda statement: json.dumps(statement, sort_keys=True))}


def _sorted(key: str, value: Any) -> Any:
    if key in ("Action", "NotAction", "Resource", "NotResource"):
        return sorted([value] if isinstance(value, str) else value)
    if isinstance(value, Mapping):
        return {
            inner: _sorted("Action", part) if isinstance(part, (str, list)) else _sorted("", part)
            for inner, part in value.items()
        }
    return value


def _observed(raw: Mapping[str, Any], inline: Mapping[str, Any], attached: Any) -> Observed:
    return Observed(
        raw["RoleId"],
        {
            "AssumeRolePolicyDocument": canonical(_parsed(raw["AssumeRolePolicyDocument"])),
            "InlinePolicies": {name: canonical(_parsed(document)) for name, document in inline.items()},
            "ManagedPolicies": sorted(policy["PolicyArn"] for policy in attached),
            "Path": raw["Path"],
            "PermissionsBoundary": (raw.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn"),
        },
        tags=from_pairs(raw.get("Tags")),
        name=raw["RoleName"],
        arn=raw["Arn"],
    )


def _one(aws: Aws, name: str) -> Iterator[Observed]:
    found = if_found(aws.iam.get_role, "NoSuchEntity", RoleName=name)
    if not found:
        return
    names = every(aws.iam.list_role_policies, "PolicyNames", RoleName=name)
    inline = {policy: aws.iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"] for policy in names}
    yield _observed(
        found["Role"], inline, list(every(aws.iam.list_attached_role_policies, "AttachedPolicies", RoleName=name))
    )


def _set_inline(aws: Aws, observed: Observed, wanted: Mapping[str, Any]) -> None:
    for name, document in wanted.items():
        if observed.properties["InlinePolicies"].get(name) != document:
            aws.iam.put_role_policy(RoleName=observed.name, PolicyName=name, PolicyDocument=json.dumps(document))
    for name in observed.properties["InlinePolicies"]:
        if name not in wanted:
            aws.iam.delete_role_policy(RoleName=observed.name, PolicyName=name)


def _set_boundary(aws: Aws, observed: Observed, boundary: str | None) -> None:
    if boundary:
        aws.iam.put_role_permissions_boundary(RoleName=observed.name, PermissionsBoundary=boundary)
    else:
        aws.iam.delete_role_permissions_boundary(RoleName=observed.name)


def _detach(aws: Aws, observed: Observed) -> None:
    for arn in observed.properties["ManagedPolicies"]:
        aws.iam.detach_role_policy(RoleName=observed.name, PolicyArn=arn)


def _parsed(document: Any) -> dict[str, Any]:
    return json.loads(document) if isinstance(document, str) else dict(document)
