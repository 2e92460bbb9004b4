"""All of dev in an emulated account, whose database can be restored to any second of the last three days."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from time import time
from typing import Any

import boto3
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.config.environment import load_environment
from orderops.engine.reconcile import Step
from orderops.infra.workspace import Workspace, make_plan
from orderops.resources.rds_description import RESTORED
from orderops.restore.instances import Instance, Instances, load_instances
from orderops.restore.point_in_time import Restore, RestoreRequest, StartOf, restore_request
from orderops.restore.promotion import Promotion, switch
from orderops.restore.timestamps import parse_timestamp, utc
from support.emulated_account import MODELS, QUICK
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS

REGION = "ap-southeast-2"
IMAGES = {"order-processor": "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/orderops-dev-order-processor:1"}
DATABASE = "orderops-dev-database"
POINTER = "orderops/dev/database"
DAYS = 3
"""For which the database has been there."""
YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
"""A moment in the window."""
RESTORED_INSTANCE = f"{DATABASE}-restored-{YESTERDAY:%Y%m%d-%H%M%S}"
"""The name of what is restored to it."""


@cache
def aws_at(url: str) -> Aws:
    """One door for all tests: its clients take longer to make than most of these."""
    session = boto3.Session("testing", "testing", region_name=REGION)
    session._session.register_component("data_loader", MODELS)
    return Aws(REGION, endpoint_url=url, session=session)


@dataclass(frozen=True)
class Dev:
    """The account of dev, and what is done there."""

    proxy: Proxy

    @property
    def workspace(self) -> Workspace:
        """Seen anew, without the gate."""
        return Workspace(load_environment("dev", ENVIRONMENTS), aws_at(self.proxy.url))

    @property
    def owner(self) -> Ownership:
        return Ownership("dev")

    def pointer(self) -> dict[str, Any]:
        """What services are told of the database."""
        secrets = self.workspace.aws.secretsmanager
        told: dict[str, Any] = json.loads(secrets.get_secret_value(SecretId=POINTER)["SecretString"])
        return told

    def pointed_instance(self) -> str:
        """The instance that services are told to use."""
        copies = self.instances()
        [name] = [
            copy.name
            for copy in [copies.require_primary(), *copies.others]
            if copy.observed.properties["EndpointAddress"] == self.pointer()["host"]
        ]
        return name

    def instances(self) -> Instances:
        workspace = self.workspace
        return load_instances(workspace.aws, workspace.stack)

    def named(self, name: str) -> Instance:
        return self.instances().named(name, action="look at")

    def record(self, name: str = DATABASE) -> Any:
        """What the emulator keeps of an instance, to be changed behind everybody's back."""
        return get_backend("rds")[DEFAULT_ACCOUNT_ID][REGION].databases[name]

    def age(self, name: str = DATABASE, *, days: float = DAYS) -> None:
        """Let an instance have been backed up for so long; for no days, not once."""
        with self.proxy.held():
            self.record(name).backed_up_since = time() - days * 86_400 if days else 0.0

    def request(
        self,
        at: str,
        *,
        source: str | None = None,
        role: str = RESTORED,
        start_of: StartOf | None = None,
        since: datetime | None = None,
    ) -> RestoreRequest:
        """What the words of a restore mean now."""
        workspace = self.workspace
        return restore_request(
            workspace.aws,
            workspace.stack,
            parse_timestamp(at),
            source=source,
            role=role,
            start_of=start_of,
            since=since,
        )

    def restore(self, at: str = utc(YESTERDAY), *, source: str | None = None, role: str = RESTORED) -> Instance:
        """A copy that is ready."""
        workspace, goal = self.workspace, self.request(at, source=source, role=role)
        list(Restore(workspace.aws, workspace.stack, goal, limits=QUICK).run())
        return self.named(goal.name)

    def interrupted_restore(self, at: str, *, role: str = RESTORED) -> Instance:
        """What a restore leaves that was killed when its instance was there and not compared yet."""
        workspace, goal = self.workspace, self.request(at, role=role)
        list(Restore(workspace.aws, workspace.stack, goal, limits=QUICK)._reconcile())
        return self.named(goal.name)

    def promotion(self, name: str | None = None) -> Promotion:
        """The way on which an instance becomes the primary."""
        return Promotion(self.workspace, switch(self.instances(), name))

    def promote(self, name: str | None = None) -> list[Step]:
        return list(self.promotion(name).run())

    def has_changes(self) -> bool:
        """Whether `up` would change anything of the infrastructure, or find anything that nobody declared."""
        return make_plan(self.workspace).differs

    def changes(self, *actions: str) -> list[str]:
        """The changing calls that were made, or those of these kinds; the lease and the record aside."""
        made = [call for call in self.proxy.changing if not call.startswith("s3.")]
        return [call for call in made if not actions or call in actions]
