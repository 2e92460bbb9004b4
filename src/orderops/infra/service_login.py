"""The services' own login of the database: whether they use it yet, and the switch to it.

Three things make it up: the secret with the password, the role in the database, and the tag of the instance that names
the secret. The tag is set once the role opens the instance; the pointer secret follows the tag, and the services follow
the pointer within half a minute. Whatever was interrupted is due again.

Where the services log in with tokens of IAM, a second role and a second tag stand beside these, and the permission to
connect in place of a secret. The password stays: with the same command, the pointer leads back to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from orderops.aws.client import Aws
from orderops.engine.inventory import Inventory
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Observed, Outputs, Resource
from orderops.engine.scheduler import OnWait
from orderops.engine.step import Action, Step
from orderops.engine.task import RecentWrites
from orderops.engine.terms import Terms
from orderops.frozen import replace
from orderops.infra.iam_login import check_takes_tokens, iam_user_of
from orderops.infra.stack import Stack
from orderops.infra.workspace import Workspace
from orderops.resources.iam_role import IamRole
from orderops.resources.rds_description import SERVICE_IAM_USER, SERVICE_SECRET
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.secretsmanager_login import SecretsmanagerLogin


def login_is_due(workspace: Workspace) -> bool:
    """Whether the services log in as another user than their own role, as far as the account says.

    False without a database, which is made first.
    """
    return _is_due(workspace, workspace.stack.pointer.iam_user)


def password_is_due(workspace: Workspace) -> bool:
    """Whether the role with the password, which tokens do without, is still to be made."""
    return _is_due(workspace, "")


def _is_due(workspace: Workspace, iam_user: str) -> bool:
    stack = workspace.stack
    inventory = Inventory(workspace.aws, workspace.environment.name, [RdsInstance, SecretsmanagerLogin])
    instance, secret = inventory.get(stack.database, {}), inventory.get(stack.login, {})
    return instance is not None and (secret is None or not _opens(instance, secret, iam_user))


def login_is_due_in(stack: Stack, outputs: Outputs) -> bool:
    """The same, by what a plan has read."""
    return not _opens(outputs[stack.database], outputs[stack.login], stack.pointer.iam_user)


def _opens(instance: Observed, secret: Observed, iam_user: str) -> bool:
    """Whether the roles of the services open the instance, by its tags: by password, and as `iam_user` if given."""
    by_password = bool(instance.properties["ServiceSecretArn"] == secret.arn)
    return by_password and iam_user in ("", iam_user_of(instance))


def login_of(stack: Stack, instance: Observed) -> str:
    """How the services log in, by what the database is tagged with: "iam", "password", or "master" for its user.

    The pointer secret follows the tags.
    """
    if stack.pointer.iam_user and iam_user_of(instance):
        return "iam"
    return "password" if instance.properties["ServiceSecretArn"] else "master"


def with_login(instance: Observed, secret_arn: str, iam_user: str = "") -> Observed:
    """The instance as it is once the services' roles open it."""
    login = {"ServiceSecretArn": secret_arn, **({"ServiceIamUser": iam_user} if iam_user else {})}
    return replace(instance, properties={**instance.properties, **login})


def tag_with_login(aws: Aws, instance: Observed, secret_arn: str, iam_user: str = "") -> None:
    """Note on the instance that the role with this secret's password opens it, and with tokens the IAM user."""
    RdsInstance.retag(aws, instance, {SERVICE_SECRET: secret_arn, **({SERVICE_IAM_USER: iam_user} if iam_user else {})})


def task_roles(stack: Stack) -> list[IamRole]:
    """The roles of everything that logs in to the database."""
    return [role for service in stack.services.values() for role in (service.task_role, service.jobs_role)]


def existing_outputs(workspace: Workspace) -> tuple[Outputs, Inventory]:
    """Everything that exists now, as outputs for a part of it."""
    inventory = workspace.inventory(infra_only=True)
    outputs = Outputs(workspace.aws.region, workspace.aws.account)
    for _ in reconcile(workspace.stack.infra, inventory, outputs=outputs, dry_run=True):
        pass
    return outputs, inventory


@dataclass
class LoginSwitch:
    """The steps before and after the role is made in the database. What is done already yields no step."""

    workspace: Workspace
    recent_writes: RecentWrites = field(default_factory=RecentWrites)
    on_wait: OnWait = lambda *_: None

    def prepare(self) -> Iterator[Step]:
        """Make the secret, and let the services' tasks read it beside the one they use now."""
        outputs, inventory = existing_outputs(self.workspace)
        stack = self.workspace.stack
        if stack.pointer.iam_user:
            check_takes_tokens(outputs[stack.database], stack.environment.name)
        roles = task_roles(stack)
        widen = Terms(widen={role.address for role in roles})
        yield from self._reconcile([stack.login, *roles], inventory, outputs, widen)

    def finish(self, *, tokens: bool = True) -> Iterator[Step]:
        """Point the services to their own login, and take the master user's from their tasks.

        Without `tokens`, the role for these was not made, and the password is used until it is.
        """
        stack = self.workspace.stack
        outputs, inventory = existing_outputs(self.workspace)
        instance, secret = outputs[stack.database], outputs[stack.login].arn
        iam_user = stack.pointer.iam_user if tokens else ""
        tag_with_login(self.workspace.aws, instance, secret, iam_user)
        # RDS's listing may lag behind the tag.
        outputs[stack.database] = with_login(instance, secret, iam_user)
        yield from self._reconcile([stack.pointer], inventory, outputs)
        yield from self._reconcile(task_roles(stack), inventory, outputs)

    def _reconcile(
        self, resources: Sequence[Resource], inventory: Inventory, outputs: Outputs, terms: Terms | None = None
    ) -> Iterator[Step]:
        steps = reconcile(
            resources,
            inventory,
            outputs=outputs,
            terms=replace(terms or Terms(), ignores=self.workspace.ignores),
            on_wait=self.on_wait,
            recent_writes=self.recent_writes,
        )
        yield from (step for step in steps if step.action is not Action.NO_OP)
