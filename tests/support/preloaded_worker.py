"""All modules of a run and of the service, imported once by the fork server of `fork_server`."""

from __future__ import annotations

import gc
from datetime import timedelta

import boto3
from botocore.retries import standard

import support.killable_process
import support.service_process  # noqa: F401 - for the import
from orderops.engine import reconcile
from orderops.engine.waiting import ReconcileLimits
from support.call_checker import USED
from support.shared_parts import share_parts

share_parts()
# Shorter limits: the emulated lag of reads is 2 s at most instead of 30, and retries pause for less.
defaults = reconcile.reconcile.__kwdefaults__
assert defaults is not None
defaults["limits"] = ReconcileLimits(seen_within=timedelta(seconds=4))
standard.ExponentialBackoff._BASE = 0.1
session = boto3.Session("warm", "up", region_name="ap-southeast-2")
for service in {*USED, "secretsmanager", "sqs"}:
    session.client(service)
# Shared by all children; a search for cycles would copy its pages in each of them.
gc.freeze()
