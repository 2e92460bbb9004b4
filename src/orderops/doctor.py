"""Doctor: what this machine and these credentials can do, and a hint for each thing that they cannot."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence

from orderops.aws import call_log
from orderops.aws.client import Aws, every
from orderops.config.environment import Environment
from orderops.errors import AwsError, OrderopsError
from orderops.frozen import Frozen
from orderops.iam.persona import Persona
from orderops.iam.policies import Simulation, identity_of, role_behind, simulations
from orderops.images.builder import builder
from orderops.infra.quotas import Fit, fit, needed
from orderops.text.lists import joined

# One harmless read for each service that a run needs, with the parameters that keep it small.
READS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("ec2", "describe_vpcs", {"MaxResults": 5}),
    ("elbv2", "describe_load_balancers", {"PageSize": 1}),
    ("ecs", "list_clusters", {"maxResults": 1}),
    ("rds", "describe_db_instances", {"MaxRecords": 20}),
    ("sqs", "list_queues", {"MaxResults": 1}),
    ("sns", "list_topics", {}),
    ("s3", "list_buckets", {}),
    ("iam", "list_roles", {"MaxItems": 1}),
    ("logs", "describe_log_groups", {"limit": 1}),
    ("cloudwatch", "describe_alarms", {"MaxRecords": 1}),
    ("secretsmanager", "list_secrets", {"MaxResults": 1}),
    ("ecr", "describe_repositories", {"maxResults": 1}),
    ("application_autoscaling", "describe_scalable_targets", {"ServiceNamespace": "ecs", "MaxResults": 1}),
    ("resourcegroupstaggingapi", "get_resources", {"ResourcesPerPage": 1}),
)
MAX_NAMES = 5
IDENTITY_CENTER_PREFIX, IDENTITY_CENTER_PATH = "AWSReservedSSO_", "/aws-reserved/sso.amazonaws.com/"
QUOTAS_PAGE = "look them up in the console of Service Quotas"


class Check(Frozen):
    """One check; `needed` if the environment does not work without it."""

    name: str
    ok: bool
    detail: str
    hint: str = ""
    needed: bool = True


def diagnose(
    environment: Environment,
    reach: Callable[[], Aws],
    persona: Persona = Persona.OPERATOR,
    others: Sequence[Environment] = (),
) -> list[Check]:
    """Check the machine, then the credentials, their permissions, and the quotas that environments need.

    `others` are the other environments of the folder: all those of the same account and region have to fit.
    """
    findings = [_python(), _log(), _builder(environment), _session_plugin(environment)]
    if environment.emulated:
        findings.append(_postgres())
    try:
        aws = reach()
        account = aws.account
    except OrderopsError as error:
        return [*findings, Check("credentials", False, "; ".join(error.lines), error.hint)]
    findings.append(_account(environment, aws, account))
    findings += [*_reads(aws), *_permissions(environment, aws, account, persona)]
    # The emulator has no quotas.
    return findings if environment.emulated else [*findings, *_quotas(aws, account, environment, others)]


def _python() -> Check:
    return Check("python", sys.version_info >= (3, 11), platform.python_version(), "install Python 3.11 or newer")


def _log() -> Check:
    """Whether the log of AWS calls can be written. A run works without it."""
    hint = "name a folder that this user can write to: export ORDEROPS_LOG_DIRECTORY=DIR"
    try:
        path = call_log.directory()
    except OrderopsError as error:
        return Check("log", False, error.message, hint, needed=False)
    existing = next((folder for folder in (path, *path.parents) if os.access(folder, os.F_OK)), path)
    good = existing.is_dir() and os.access(existing, os.W_OK)
    return Check("log", good, str(path / "calls.log"), hint, needed=False)


def _builder(environment: Environment) -> Check:
    needed = any(environment.services[name].image is None for name in environment.entries)
    try:
        return Check("image builder", True, builder().name)
    except OrderopsError as error:
        return Check("image builder", False, error.message, error.hint, needed)


def _session_plugin(environment: Environment) -> Check:
    found = shutil.which("session-manager-plugin") is not None
    hint = "install the Session Manager plugin for the AWS CLI"
    needed = environment.database.access == "tunnel"
    return Check("session-manager-plugin", found, "installed" if found else "not on PATH", hint, needed)


def _postgres() -> Check:
    from orderops.local.rds.binaries import find_bindir

    try:
        return Check("PostgreSQL", True, str(find_bindir()))
    except OrderopsError as error:
        return Check("PostgreSQL", False, error.message, error.hint)


def _account(environment: Environment, aws: Aws, account: str) -> Check:
    who = aws.sts.get_caller_identity()["Arn"]
    pinned = environment.account
    if pinned and pinned != account:
        hint = "use a profile of that account: AWS_PROFILE=NAME"
        return Check("account", False, f"{who} is in {account}; {environment.name} is pinned to {pinned}", hint)
    return Check("account", True, f"{account} as {who}, {aws.region}")


def _reads(aws: Aws) -> Iterator[Check]:
    for service, operation, params in READS:
        try:
            getattr(getattr(aws, service), operation)(**params)
        except AwsError as error:
            yield Check(service, False, "; ".join(error.lines), error.hint)
        else:
            yield Check(service, True, "readable")


def _permissions(environment: Environment, aws: Aws, account: str, persona: Persona) -> Iterator[Check]:
    """Permissions of a persona that these credentials lack; nothing if IAM does not let them simulate policies."""
    requests = simulations(environment, account, persona)
    try:
        identity = _identity(aws)
        missing = (
            sorted({action for request in requests for action in _denied(aws, identity, request)}) if identity else None
        )
    except AwsError:
        # Simulating policies is not permitted, or not emulated. The reads above have shown what works.
        return
    if missing is None:
        return
    total = len({action for request in requests for action in request.actions})
    if not missing:
        yield Check("permissions", True, f"all {total} of the {persona}")
        return
    names = joined(missing, MAX_NAMES)
    hint = f"orderops doctor --policies --for {persona} --env {environment.name}"
    yield Check(
        "permissions", False, f"{len(missing)} of the {persona}'s {total} are missing: {names}", hint, needed=False
    )


def _identity(aws: Aws) -> str:
    """The ARN of the user or role whose policies apply; "" if there is none, as for the account's root.

    A role made by IAM Identity Center has a path, such as /aws-reserved/sso.amazonaws.com/eu-west-1/, and the ARN of a
    session contains the name of its role without the path.
    """
    name = role_behind(aws.caller)
    if not name:
        return identity_of(aws.caller)
    path = IDENTITY_CENTER_PATH if name.startswith(IDENTITY_CENTER_PREFIX) else "/"
    roles = every(aws.iam.list_roles, "Roles", PathPrefix=path)
    return next((str(raw["Arn"]) for raw in roles if raw["RoleName"] == name), "")


def _denied(aws: Aws, identity: str, request: Simulation) -> Iterator[str]:
    """Actions of a simulated request that IAM would deny these credentials."""
    results = every(
        aws.iam.simulate_principal_policy,
        "EvaluationResults",
        PolicySourceArn=identity,
        ActionNames=list(request.actions),
        ResourceArns=list(request.resources),
        ContextEntries=[
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in request.context.items()
        ],
    )
    yield from (result["EvalActionName"] for result in results if result["EvalDecision"] != "allowed")


def _quotas(aws: Aws, account: str, environment: Environment, others: Sequence[Environment]) -> Iterator[Check]:
    """Whether the environments of this account and region fit into each quota, the one asked about first."""
    together = [
        other
        for other in others
        if not other.emulated and other.region == environment.region and other.account in (None, account)
    ]
    for quota in needed(environment):
        name = f"quota of {quota.name}"
        try:
            found = fit(aws, quota, [environment, *together])
        except AwsError as error:
            detail = f"cannot be read, so it was not compared: {'; '.join(error.lines)}"
            yield Check(name, False, detail, error.hint or f"{QUOTAS_PAGE} in {aws.region}", needed=False)
        else:
            yield _fit_check(name, found, environment, aws.region)


def _fit_check(name: str, found: Fit, environment: Environment, region: str) -> Check:
    use = f"{found.used:g} of {found.limit:g} in use" if found.quota.use else f"{found.limit:g} for all tasks together"
    needs = [f"{other} needs {need:g}" + (" more" if found.quota.use else "") for other, need in found.needs.items()]
    misfits = found.misfits
    detail = ", ".join([use, *needs, *([f"no room for {joined(misfits)}"] if misfits else [])])
    # Without its use, a quota shows only that all tasks of a deployment would not run at once.
    blocking = environment.name in misfits and found.quota.use is not None
    return Check(name, not misfits, detail, found.quota.increase(found.needed_limit, region), blocking)
