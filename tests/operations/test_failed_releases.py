"""What `service deploy` says of a release that fails, with AWS emulated."""

from __future__ import annotations

import json

from support.command_line import Orderops
from support.recorded_history import Dev

pytest_plugins = ["support.recorded_history_fixtures"]

IMAGE = "registry.example.com/orders:2"
SERVICE = "orderops-dev-order-processor"


def test_a_release_that_places_no_task_is_explained_by_the_events_of_the_service(dev: Dev, orderops: Orderops) -> None:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam = dev.workspace.aws.iam
    iam.update_assume_role_policy(RoleName=f"{SERVICE}-execution", PolicyDocument=document)

    said = orderops("service", "deploy", "--image", IMAGE, "--yes")

    assert said.code == 1
    assert "failed to launch a task with (error ECS was unable to assume the role" in said.err
