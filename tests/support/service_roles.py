"""Service-linked roles of an account that has used these services before."""

from __future__ import annotations

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.strict.iam.roles import linked_role

RDS = "rds.amazonaws.com"


def give_rds_its_role() -> None:
    """Create AWSServiceRoleForRDS, as known to RDS for long: without it, RDS makes neither groups nor instances."""
    if linked_role(RDS) is None:
        get_backend("iam")[DEFAULT_ACCOUNT_ID]["aws"].create_service_linked_role(RDS, "", "")
