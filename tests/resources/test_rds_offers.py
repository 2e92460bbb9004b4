"""What a class lacks is named before RDS refuses the change, with the way on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest

from orderops.aws.client import Aws
from orderops.engine.resource import Observed
from orderops.errors import OrderopsError
from orderops.resources.rds_offers import class_refusal

CLASS = "db.m6g.large"
OFFER = {
    "EngineVersion": "16.4",
    "AvailabilityZones": [{"Name": "ap-southeast-2a"}, {"Name": "ap-southeast-2c"}],
    "StorageType": "gp3",
    "MultiAZCapable": True,
    "SupportsIAMDatabaseAuthentication": True,
    "SupportsPerformanceInsights": True,
}
SETTINGS = {
    "EngineVersionNow": "16.4",
    "Zones": ["ap-southeast-2a"],
    "StorageType": "gp3",
    "MultiAZ": True,
    "EnableIAMDatabaseAuthentication": True,
    "EnablePerformanceInsights": True,
}


class OfferingAws:
    """AWS whose RDS has these offers for one class."""

    region = "ap-southeast-2"
    service, operation = "rds", "describe_orderable_db_instance_options"

    def __init__(self, offers: Iterable[dict[str, Any]]) -> None:
        self._offers = list(offers)
        self.aws = self.rds = self.describe_orderable_db_instance_options = self

    def send(self, service: str, operation: str, params: dict[str, str], *, pages: bool) -> Iterator[dict[str, Any]]:
        """The pages of a listing."""
        version = params.get("EngineVersion", "")
        for offer in self._offers:
            yield {"OrderableDBInstanceOptions": [offer] if version in ("", offer["EngineVersion"]) else []}


def refusal(*offers: dict[str, Any], **settings: Any) -> OrderopsError | None:
    aws = cast(Aws, OfferingAws(offers))
    return class_refusal(aws, Observed("orders", {**SETTINGS, **settings}), CLASS, "dev")


def test_a_class_with_all_that_the_instance_uses_is_not_refused() -> None:
    assert refusal(OFFER) is None
    assert refusal(OFFER, Zones=["ap-southeast-2a", "ap-southeast-2c"]) is None


def test_each_storage_type_is_an_offer_of_its_own() -> None:
    others = {**OFFER, "StorageType": "io1", "AvailabilityZones": [{"Name": "ap-southeast-2b"}]}

    assert refusal(others, OFFER) is None
    assert refusal(others, OFFER, Zones=["ap-southeast-2b"]) is not None


@pytest.mark.parametrize(
    ("offer", "settings", "words"),
    [
        ({"StorageType": "gp2"}, {}, "db.m6g.large has no gp3 storage, which orders has (gp2)"),
        ({}, {"Zones": ["ap-southeast-2b"]}, "in ap-southeast-2b, where orders runs; it has it in ap-southeast-2a, ap"),
        ({}, {"Zones": ["ap-southeast-2a", "ap-southeast-2b"]}, "RDS offers no db.m6g.large in ap-southeast-2b, where"),
        ({"MultiAZCapable": False}, {}, "db.m6g.large does not have a standby (Multi-AZ), which orders uses"),
        ({"SupportsPerformanceInsights": False}, {}, "does not have Performance Insights, which orders uses"),
        ({"SupportsIAMDatabaseAuthentication": False}, {}, "does not have IAM authentication, which orders uses"),
        ({"EngineVersion": "15.1"}, {}, "RDS offers no db.m6g.large for PostgreSQL 16.4 in this region"),
    ],
)
def test_what_a_class_lacks_is_named(offer: dict[str, Any], settings: dict[str, Any], words: str) -> None:
    refused = refusal({**OFFER, **offer}, **settings)

    assert refused and words in refused.message
    assert "--engine-version 16.4 --region ap-southeast-2" in refused.hint


def test_what_the_instance_does_not_use_may_be_lacking() -> None:
    offer = {**OFFER, "MultiAZCapable": False, "SupportsPerformanceInsights": False}

    assert refusal(offer, MultiAZ=False, EnablePerformanceInsights=False) is None


def test_a_class_of_a_newer_version_names_the_first_that_has_it_of_each_major_one() -> None:
    offers = ({**OFFER, "EngineVersion": version} for version in ("16.10", "16.9", "16.2", "17.1", "17.4"))

    refused = refusal(*offers)

    assert refused and refused.message == "RDS offers no db.m6g.large for PostgreSQL 16.4; it needs 16.9 or 17.1"
    assert "upgrade first: orderops database upgrade --to 16.9 --env dev" in refused.hint
