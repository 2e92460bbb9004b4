"""Anomaly detection in an environment: switched on, planned again, switched off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.dev_accounts"]

# End to end.
pytestmark = pytest.mark.slow

DEV = (ENVIRONMENTS / "dev.toml").read_text()
ON = f'{DEV}\n[alerts]\nemails = ["ops@example.com"]\nanomaly_detection = true\n'
ALARMS = ["orderops-dev-balancer-latency-unusual", "orderops-dev-order-processor-queue-age-unusual"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dev.toml").write_text(ON)
    return tmp_path


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], proxy: Proxy, dev_infra: bytes, folder: Path) -> Orderops:
    proxy.bring_back(dev_infra)
    found = Orderops(capsys, "--env", "dev", "--environments", str(folder))
    assert found("infra", "apply", "--yes").code == 0
    return found


def existing(client: Any) -> tuple[list[str], list[str]]:
    """The alarms for what is unusual, and the metrics that have a detector."""
    cloudwatch = client("cloudwatch")
    alarms = [alarm["AlarmName"] for alarm in cloudwatch.describe_alarms()["MetricAlarms"]]
    detectors = cloudwatch.describe_anomaly_detectors()["AnomalyDetectors"]
    return sorted(name for name in alarms if "unusual" in name), [found["MetricName"] for found in detectors]


def test_what_was_switched_on_needs_no_further_change(orderops: Orderops, client: Any) -> None:
    assert existing(client) == (ALARMS, ["TargetResponseTime", "ApproximateAgeOfOldestMessage"])
    assert orderops("infra", "plan").code == 0


def test_a_band_that_is_still_learned_worries_nobody(orderops: Orderops) -> None:
    checked = orderops("alerts", "check", "--json").json
    assert [finding["name"] for finding in checked] == ["orderops-dev-alarms"]

    rows = {row["alarm"]: row for row in orderops("alerts", "list", "--json").json}
    assert [(rows[name]["state"], rows[name]["threshold"], rows[name]["band"]) for name in ALARMS] == [
        ("INSUFFICIENT_DATA", None, 3.0)
    ] * 2
    (alarms,) = [part for part in orderops("status", "--json").json["components"] if part["name"] == "alarms"]
    assert "unusual" not in alarms["detail"]


def test_what_is_switched_off_goes_alarms_first(orderops: Orderops, proxy: Proxy, client: Any, folder: Path) -> None:
    (folder / "dev.toml").write_text(ON.replace("anomaly_detection = true", "anomaly_detection = false"))
    proxy.requests.clear()

    assert orderops("infra", "apply", "--prune", "--yes").code == 0

    calls = [str(request) for request in proxy.requests if request.changes and "monitoring" in str(request)]
    assert calls == ["monitoring.DeleteAlarms"] * 2 + ["monitoring.DeleteAnomalyDetector"] * 2
    assert existing(client) == ([], [])
    assert orderops("infra", "plan").code == 0
