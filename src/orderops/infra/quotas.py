"""What environments need of the account's quotas, and which of them would not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orderops.aws.client import Aws
from orderops.config.environment import Environment
from orderops.frozen import Frozen
from orderops.resources.service_quotas import ADDRESSES, DATABASES, GATEWAYS, VCPUS, VPCS, Quota, Use

CPU_UNITS = 1024


class Fit(Frozen):
    """Whether environments fit into one quota: its limit, what is in use, and what each needs on top of it."""

    quota: Quota
    limit: float
    used: float
    needs: Mapping[str, float]
    """What each environment still needs, in the order in which they would be created; without those that have all."""

    @property
    def misfits(self) -> list[str]:
        """Environments that would not fit, if all before them were created."""
        total, found = self.used, []
        for name, need in self.needs.items():
            total += need
            if total > self.limit:
                found.append(name)
        return found

    @property
    def needed_limit(self) -> float:
        """The limit with which all environments fit."""
        return self.used + sum(self.needs.values())


def fit(aws: Aws, quota: Quota, environments: Sequence[Environment]) -> Fit:
    """Compare a quota with what environments need. Raises AwsError if it or its use cannot be read."""
    limit = quota.limit(aws)
    use = quota.use(aws) if quota.use else Use(0, {})
    needs = {
        environment.name: max(0.0, needed(environment)[quota] - use.by_environment.get(environment.name, 0))
        for environment in environments
    }
    return Fit(quota, limit, use.total, {name: need for name, need in needs.items() if need})


def needed(environment: Environment) -> Mapping[Quota, float]:
    """How much of each quota a complete environment needs."""
    # A deployment runs the old and the new tasks together (maximumPercent 200).
    cpu = sum(service.cpu * service.max_tasks * 2 for service in environment.services.values())
    return {
        VPCS: 1,
        ADDRESSES: environment.network.nat_gateways,
        GATEWAYS: 1,
        DATABASES: 1 + environment.database.replicas,
        VCPUS: cpu / CPU_UNITS,
    }
