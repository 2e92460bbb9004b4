"""A workspace: an environment, opened in its account."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orderops.aws.client import Aws
from orderops.config.environment import Environment
from orderops.engine.inventory import Inventory
from orderops.engine.resource import Resource
from orderops.errors import AwsError, OrderopsError
from orderops.frozen import Frozen, field
from orderops.infra.stack import INFRA_KINDS, KINDS, Stack, stack, take_inventory
from orderops.infra.zones import zones_of
from orderops.resources.ec2_zones import account_of
from orderops.runs.change_guard import ChangeGuard

if TYPE_CHECKING:
    from orderops.runs.run import Runs


class Workspace(Frozen):
    """An environment, the AWS account it lives in, and its resources."""

    environment: Environment
    aws: Aws
    guard: ChangeGuard = field(default_factory=ChangeGuard)
    """Called by `aws` before every change."""
    other_environments: Collection[str] = ()
    """Names of the environments whose files are in the same folder."""
    folder: Path = Path("environments")
    """The folder of the environment's file."""

    @cached_property
    def runs(self) -> Runs:
        """Runs that change the environment: one at a time, and on record."""
        # Here and below: a plan, which changes nothing, does without the models of runs and leases.
        from orderops.runs.run import Runs

        return Runs(self.aws, self.environment.name, self.guard, file=self.file_digest)

    @cached_property
    def restore_runs(self) -> Runs:
        """Runs that change restored instances only. A restore takes long, so it has a lease of its own."""
        from orderops.runs.run import COPIES, Runs

        return Runs(self.aws, self.environment.name, self.guard, part=COPIES)

    @cached_property
    def answer_runs(self) -> Runs:
        """Runs that answer a release under way, beside the run that watches it."""
        from orderops.runs.run import ANSWERS, Runs

        return Runs(self.aws, self.environment.name, self.guard, part=ANSWERS)

    @cached_property
    def board_runs(self) -> Runs:
        """Runs that change the incidents on the board, beside a run that changes the environment."""
        from orderops.runs.run import BOARD, Runs

        return Runs(self.aws, self.environment.name, self.guard, part=BOARD)

    @cached_property
    def stack(self) -> Stack:
        """The resources of the environment in this account. Raises OrderopsError for an account that is not pinned."""
        self.check_account()
        return stack(self.environment, self.account, self.zones)

    @cached_property
    def account(self) -> str:
        """The account of the environment; where none is pinned, its subnets name it, which are read anyway."""
        if not self.environment.account:
            # Who may not read the subnets may still ask who they are.
            with suppress(AwsError):
                if named := account_of(self._read_with_zones, self.environment.name):
                    return named
        return self.aws.account

    @cached_property
    def zones(self) -> Sequence[str]:
        """The availability zones of its subnets."""
        return zones_of(self._read_with_zones, self.environment)

    @cached_property
    def _read_with_zones(self) -> Aws:
        # The first inventory lists the subnets as well.
        return self.aws.remembering()

    def ignores(self, address: str, key: str) -> bool:
        """Whether the file says to ignore a difference of this property, and the date until which has not passed."""
        return self.environment.drift.ignoring(address, key, datetime.now(UTC).date()) is not None

    @property
    def file(self) -> Path:
        """The environment's file."""
        return self.folder / f"{self.environment.name}.toml"

    @cached_property
    def file_digest(self) -> str:
        """The SHA-256 of the environment's file; "" if it cannot be read any more."""
        try:
            return hashlib.sha256(self.file.read_bytes()).hexdigest()
        except OSError:
            return ""

    def check_account(self) -> None:
        """Raise OrderopsError if the environment pins another account."""
        pinned = self.environment.account
        if pinned and pinned != self.aws.account:
            raise OrderopsError(
                f"these credentials are for account {self.aws.account}; {self.environment.name} is pinned to {pinned}",
                f"use a profile of that account: AWS_PROFILE=NAME orderops … --env {self.environment.name}",
            )

    def inventory(self, *, infra_only: bool = False, thorough: bool = False) -> Inventory:
        """Read the account again; with `infra_only`, without the kinds that a release consists of.

        With `thorough`, also what the environment never had by the notes on its network.
        """
        fresh = self.aws.remembering()
        vars(self).setdefault("_read_with_zones", fresh)
        kinds = INFRA_KINDS if infra_only else KINDS
        return take_inventory(self.aws, self.environment, kinds, fresh, None if thorough else self._features)

    def _features(self) -> Collection[str]:
        return self.stack.features

    def declared(self, images: Mapping[str, str] | None = None) -> dict[str, Resource]:
        """All declared resources, by address."""
        return {resource.address: resource for resource in [*self.stack.infra, *self.stack.release(images or {})]}
