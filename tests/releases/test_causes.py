"""The cause of each way in which a task ends, in the words that AWS, PostgreSQL and the runtimes use."""

from __future__ import annotations

import pytest

from orderops.releases.causes import catalogue, cause_of, cause_of_event
from orderops.releases.task_end import TaskEnd

VALUES = {
    "environment": "dev",
    "service": "shop",
    "image": "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/shop:9",
    "memory": "512",
    "port": "8080",
    "log_group": "/orderops/dev/shop",
}
SECRETS = "TaskFailedToStart; ResourceInitializationError: unable to pull secrets or registry auth: "
EXITED = "EssentialContainerExited; Essential container in task exited"
CHECKS = "ServiceSchedulerInitiated; Task failed ELB health checks in (target-group shop); "
PULL = "TaskFailedToStart; CannotPullContainerError: "
# From the ECS developer guide ("Stopped tasks error messages", "CannotPullContainer task errors",
# "ResourceInitializationError", "Elastic Load Balancing health check errors"), and public reports where it is short.
ENDS = [
    # image
    (
        f"{PULL}pull image manifest has been retried 1 time(s): failed to resolve ref shop:9: shop:9: not found",
        "",
        "image-missing",
    ),
    (f"{PULL}Error response from daemon: manifest for shop:9 not found: manifest unknown", "", "image-missing"),
    (
        f"{PULL}The repository with name 'shop' does not exist in the registry with id '123456789012'",
        "",
        "image-missing",
    ),
    (
        f"{PULL}ref pull has been retried 1 time(s): failed to copy: httpReadSeeker: failed open: "
        "unexpected status code 403 Forbidden",
        "",
        "registry-denied",
    ),
    (
        f"{PULL}pull access denied for shop, repository does not exist or may require 'docker login': denied",
        "",
        "registry-denied",
    ),
    (f"{PULL}AccessDeniedException: not authorized to perform: ecr:BatchGetImage", "", "registry-denied"),
    (
        f"{PULL}toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating",
        "",
        "registry-rate-limited",
    ),
    (
        f'{PULL}ref pull has been retried 5 time(s): failed to do request: Head "https://registry/v2": '
        "dial tcp 1.2.3.4:443: i/o timeout",
        "",
        "no-route-to-registry",
    ),
    (
        f"{PULL}failed to resolve ref: failed to do request: net/http: request canceled while waiting for connection",
        "",
        "no-route-to-registry",
    ),
    (
        f"{PULL}failed to pull: no matching manifest for linux/amd64 in the manifest list entries",
        "",
        "wrong-architecture",
    ),
    (f"{PULL}image Manifest does not contain descriptor matching platform 'linux/amd64'", "", "wrong-architecture"),
    (f"{EXITED}; exit 1", "exec /usr/local/bin/python: exec format error", "wrong-architecture"),
    (f"{PULL}write /var/lib/containerd/tmp: no space left on device", "", "disk-full"),
    (f"{PULL}something entirely new", "", "image-not-pulled"),
    # secrets and what else is read before the start
    (
        f"{SECRETS}execution resource retrieval failed: retrieved secret from Secrets Manager did not "
        "contain json key TOKEN",
        "",
        "secret-key-missing",
    ),
    (
        f"{SECRETS}unable to retrieve secret from asm: ResourceNotFoundException: Secrets Manager can't "
        "find the specified secret.",
        "",
        "secret-missing",
    ),
    (f"{SECRETS}unable to retrieve secrets from ssm: Invalid parameters: /orderops/dev/TOKEN", "", "secret-missing"),
    (
        f"{SECRETS}AccessDeniedException: User: arn:aws:sts::1:assumed-role/x is not authorized to "
        "perform: secretsmanager:GetSecretValue",
        "",
        "secret-denied",
    ),
    (
        f"{SECRETS}unable to retrieve secret from asm: There is a connection issue between the task and "
        "AWS Secrets Manager. RequestError: send request failed",
        "",
        "no-route-to-aws",
    ),
    (f"{SECRETS}failed to fetch: context deadline exceeded", "", "no-route-to-aws"),
    (
        "TaskFailedToStart; ResourceInitializationError: failed to validate logger args: create stream "
        "has been retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: "
        "The specified log group does not exist.",
        "",
        "log-group-missing",
    ),
    # placement
    (
        "TaskFailedToStart; Unexpected EC2 error while attempting to Create Network Interface: "
        "InsufficientFreeAddressesInSubnet",
        "",
        "no-addresses",
    ),
    ("TaskFailedToStart; Timeout waiting for network interface provisioning to complete.", "", "no-addresses"),
    (
        "TaskFailedToStart; Capacity is unavailable at this time. Please try again later or in a "
        "different availability zone",
        "",
        "capacity",
    ),
    ("InfrastructureHealth; Your task was stopped because of a hardware failure", "", "infrastructure"),
    # the process
    (f"{EXITED}; OutOfMemoryError: Container killed due to memory usage; exit 137", "", "out-of-memory"),
    (f"{EXITED}; exit 137", "", "killed"),
    (f"{EXITED}; exit 139", "", "segmentation-fault"),
    (f"{EXITED}; exit 143", "", "terminated"),
    ("UserInitiated; Task stopped by user; exit 143", "", "stopped-by-hand"),
    (f"{EXITED}; exit 0", "", "ended"),
    (f"{EXITED}; exit 1", "ModuleNotFoundError: No module named 'boto3'", "missing-module"),
    (f"{EXITED}; exit 1", "/usr/local/bin/python: No module named shop", "missing-module"),
    (f"{EXITED}; exit 1", "Error: Cannot find module '/app/server.js'", "missing-module"),
    (f"{EXITED}; exit 1", "ValueError: no such colour: blue", "exception-at-start"),
    (f"{EXITED}; exit 1", "shop.settings.WrongSettings: PORT is no number", "exited"),
    (f"{EXITED}; exit 1", "pydantic_core._pydantic_core.ValidationError: 2 validation errors", "exception-at-start"),
    (f"{EXITED}; exit 3", "good bye", "exited"),
    (
        "TaskFailedToStart; CannotStartContainerError: runc create failed: unable to start container "
        'process: exec: "gunicorn": executable file not found in $PATH',
        "",
        "entry-point-missing",
    ),
    # health checks
    (f"{CHECKS}Health checks failed with these codes: [503]", "", "health-check-status"),
    (f"{CHECKS}Request timed out", "", "health-check-timeout"),
    (f"{CHECKS}Health checks failed", "", "wrong-port"),
    (f"{CHECKS}", "", "health-check"),
    ("ServiceSchedulerInitiated; Task failed container health checks", "", "health-check"),
    # database
    (
        f"{EXITED}; exit 1",
        'psycopg.OperationalError: connection failed: connection to server at "10.0.1.7", port 5432 '
        "failed: Connection refused",
        "database-refused",
    ),
    (
        f"{EXITED}; exit 1",
        'psycopg.OperationalError: could not translate host name "db" to address: Name or service not known',
        "database-refused",
    ),
    (
        f"{EXITED}; exit 1",
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
        "too-many-connections",
    ),
    (
        f"{EXITED}; exit 1",
        "connection to server failed: FATAL:  sorry, too many clients already",
        "too-many-connections",
    ),
    (f"{EXITED}; exit 1", 'FATAL:  password authentication failed for user "orders"', "database-login-refused"),
    (
        f"{EXITED}; exit 1",
        'FATAL:  PAM authentication failed for user "orderops_service_iam"',
        "database-token-refused",
    ),
]
EVENTS = [
    (
        "failed to launch a task with (error ECS was unable to assume the role 'arn:aws:iam::1:role/x' "
        "that was provided",
        "role-not-assumable",
    ),
    (
        "was unable to place a task. Reason: You've reached the limit on the number of vCPUs you can run concurrently.",
        "quota",
    ),
    ("was unable to place a task. Reason: Capacity is unavailable at this time. Please try again later", "capacity"),
    ("was unable to place a task. Reason: subnet-1 does not have enough free addresses", "no-addresses"),
]


def end(reason: str, line: str) -> TaskEnd:
    words, _, code = reason.partition("; exit ")
    return TaskEnd("3f2a", words, (int(code),) if code else (), (line,) if line else ())


@pytest.mark.parametrize(("reason", "line", "key"), ENDS, ids=[f"{case[2]}-{n}" for n, case in enumerate(ENDS)])
def test_each_way_to_end_has_its_cause(reason: str, line: str, key: str) -> None:
    assert cause_of(end(reason, line), VALUES).key == key


@pytest.mark.parametrize(("event", "key"), EVENTS)
def test_an_event_says_why_no_task_was_started(event: str, key: str) -> None:
    cause = cause_of_event(event, VALUES)

    assert cause is not None
    assert cause.key == key


def test_an_event_of_the_normal_course_is_no_cause() -> None:
    assert cause_of_event("has reached a steady state.", VALUES) is None


def test_words_name_what_was_found() -> None:
    memory = cause_of(end(f"{EXITED}; OutOfMemoryError; exit 137", ""), VALUES)
    key = cause_of(end(f"{SECRETS}did not contain json key TOKEN", ""), VALUES)
    error = cause_of(end(f"{EXITED}; exit 1", "KeyError: 'PORT'"), VALUES)
    check = cause_of(end(f"{CHECKS}Health checks failed with these codes: [404]", ""), VALUES)

    assert memory.title == "out of memory at 512 MiB, exit 137"
    assert key.title == "a secret has no key TOKEN"
    assert error.title == "ended with an error, exit 1: KeyError: 'PORT'"
    assert check.title == "the health check answers 404"


def test_an_unknown_reason_is_passed_on_in_the_words_of_aws() -> None:
    cause = cause_of(end("TaskFailedToStart; the moon is full", ""), VALUES)

    assert (cause.key, cause.title) == ("unknown", "TaskFailedToStart; the moon is full")
    assert cause.command == "orderops service logs shop --env dev"


def test_every_cause_has_words_for_all_that_an_operator_asks() -> None:
    cases = {key for *_, key in ENDS} | {key for _, key in EVENTS}

    assert {entry.key for entry in catalogue()} == cases
    for entry in catalogue():
        assert entry.title
        assert entry.meaning
        assert entry.fix


def test_braces_in_what_a_task_wrote_do_no_harm() -> None:
    cause = cause_of(end(f"{EXITED}; exit 1", "KeyError: '{environment!r}'"), VALUES)

    assert cause.title == "ended with an error, exit 1: KeyError: '{environment!r}'"
