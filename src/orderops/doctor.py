"""What this machine and these credentials can and cannot do, each with the way to mend it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orderops import call_log
from orderops.aws import Aws
from orderops.environment import Environment
from orderops.errors import AwsError, OrderopsError
from orderops.release_builder import builder

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


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `needed` when the environment cannot do without."""

    name: str
    ok: bool
    detail: str
    hint: str = ""
    needed: bool = True


def diagnose(environment: Environment, reach: Callable[[], Aws]) -> list[Finding]:
    """Look at the machine, then at the credentials, then at what they may read."""
    findings = [_python(), _log(), _builder(environment), _session_plugin(environment)]
    if environment.emulated:
        findings.append(_postgres())
    try:
        aws = reach()
        account = aws.account
    except OrderopsError as error:
        return [*findings, Finding("credentials", False, "; ".join(error.told), error.hint)]
    findings.append(_account(environment, aws, account))
    return [*findings, *_reads(aws)]


def _python() -> Finding:
    return Finding("python", sys.version_info >= (3, 11), platform.python_version(), "install Python 3.11 or newer")


def _log() -> Finding:
    """Whether the log of calls can be written; a run can do without."""
    path = call_log.directory()
    there = next((each for each in (path, *path.parents) if os.access(each, os.F_OK)), path)
    good = there.is_dir() and os.access(there, os.W_OK)
    hint = "name a folder that this user may write to: export ORDEROPS_LOG_DIRECTORY=DIR"
    return Finding("log", good, str(path / "calls.log"), hint, needed=False)


def _builder(environment: Environment) -> Finding:
    needed = any(service.image is None for service in environment.services.values())
    try:
        return Finding("image builder", True, builder().name)
    except OrderopsError as error:
        return Finding("image builder", False, error.message, error.hint, needed)


def _session_plugin(environment: Environment) -> Finding:
    there = shutil.which("session-manager-plugin") is not None
    hint = "install the Session Manager plugin for the AWS CLI"
    needed = environment.database.access == "tunnel"
    return Finding("session-manager-plugin", there, "there" if there else "not on PATH", hint, needed)


def _postgres() -> Finding:
    from orderops.local.binaries import find_bindir

    try:
        return Finding("PostgreSQL", True, str(find_bindir()))
    except OrderopsError as error:
        return Finding("PostgreSQL", False, error.message, error.hint)


def _account(environment: Environment, aws: Aws, account: str) -> Finding:
    who = aws.sts.get_caller_identity()["Arn"]
    pinned = environment.account
    if pinned and pinned != account:
        hint = "choose the profile of that account: AWS_PROFILE=NAME"
        return Finding("account", False, f"{who} is in {account}; {environment.name} lives in {pinned}", hint)
    return Finding("account", True, f"{account} as {who}, {aws.region}")


def _reads(aws: Aws) -> Iterator[Finding]:
    for service, operation, params in READS:
        try:
            getattr(getattr(aws, service), operation)(**params)
        except AwsError as error:
            yield Finding(service, False, "; ".join(error.told), error.hint)
        else:
            yield Finding(service, True, "readable")
