"""The environment dev in an emulated account, with a database that can be restored to any second of three days."""

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
from orderops.engine.step import Step
from orderops.infra.plan import make_plan
from orderops.infra.workspace import Workspace
from orderops.resources.rds_description import RESTORED
from orderops.restore.instances import Instance, Instances, load_instances
from orderops.restore.point_in_time import Restore, RestoreRequest, StartOf, restore_request
from orderops.restore.promotion import Promotion, switch
from orderops.restore.timestamps import parse_timestamp, utc
from support.emulated_account import QUICK
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS

REGION = "ap-southeast-2"
IMAGES = {"order-processor": "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/orderops-dev-order-processor:1"}
DATABASE = "orderops-dev-database"
POINTER = "orderops/dev/database"
DAYS = 3
"""How long the database has been backed up."""
YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
"""A time in the restore window."""
RESTORED_INSTANCE = f"{DATABASE}-restored-{YESTERDAY:%Y%m%d-%H%M%S}"
"""The name of an instance restored to YESTERDAY."""


@cache
def aws_at(url: str) -> Aws:
    # Creating its clients takes longer than most of the tests.
    session = boto3.Session("testing", "testing", region_name=REGION)
    return Aws(REGION, endpoint_url=url, session=session)


@dataclass(frozen=True)
class Dev:
    """The environment dev, and actions on it."""

    proxy: Proxy

    @property
    def workspace(self) -> Workspace:
        """A new workspace, without the change guard."""
        return Workspace(load_environment("dev", ENVIRONMENTS), aws_at(self.proxy.url))

    @property
    def owner(self) -> Ownership:
        return Ownership("dev")

    def pointer(self) -> dict[str, Any]:
        """Return the content of the pointer secret."""
        secrets = self.workspace.aws.secretsmanager
        pointer: dict[str, Any] = json.loads(secrets.get_secret_value(SecretId=POINTER)["SecretString"])
        return pointer

    def pointed_instance(self) -> str:
        """Return the instance that the pointer secret names."""
        instances = self.instances()
        [name] = [
            instance.name
            for instance in instances.all
            if instance.observed.properties["EndpointAddress"] == self.pointer()["host"]
        ]
        return name

    def instances(self) -> Instances:
        workspace = self.workspace
        return load_instances(workspace.aws, workspace.stack)

    def named(self, name: str) -> Instance:
        return self.instances().named(name, action="look at")

    def record(self, name: str = DATABASE) -> Any:
        """Return the emulator's record of an instance, to change it without a call."""
        return get_backend("rds")[DEFAULT_ACCOUNT_ID][REGION].databases[name]

    def age(self, name: str = DATABASE, *, days: float = DAYS) -> None:
        """Let an instance have been backed up for so many days; 0 for never."""
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
        """Return the request for a restore."""
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
        """Restore an instance completely."""
        workspace, request = self.workspace, self.request(at, source=source, role=role)
        list(Restore(workspace.aws, workspace.stack, request, limits=QUICK).run())
        return self.named(request.name)

    def interrupted_restore(self, at: str, *, role: str = RESTORED) -> Instance:
        """Return the instance of a restore that was killed before it was verified."""
        workspace, request = self.workspace, self.request(at, role=role)
        list(Restore(workspace.aws, workspace.stack, request, limits=QUICK)._reconcile())
        return self.named(request.name)

    def promotion(self, name: str | None = None) -> Promotion:
        """Return the promotion of an instance."""
        return Promotion(self.workspace, switch(self.instances(), name))

    def promote(self, name: str | None = None) -> list[Step]:
        return list(self.promotion(name).run())

    def has_changes(self) -> bool:
        """Return whether `up` would change the infrastructure or find undeclared resources."""
        return make_plan(self.workspace).differs

    def changes(self, *actions: str) -> list[str]:
        """Return the changing calls, all or of these actions, without those of the lease and the run record."""
        calls = [call for call in self.proxy.changing if not call.startswith("s3.")]
        return [call for call in calls if not actions or call in actions]
