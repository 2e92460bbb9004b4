"""`orderops infra` against the emulator over HTTP: the whole stack, from nothing to nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.command_line import Orderops
from support.damage import damage
from support.faulty_proxy import Proxy
from support.paged_environments import paged_environments
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.dev_accounts"]

# End to end.
pytestmark = pytest.mark.slow

Client = Callable[[str], Any]


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], proxy: Proxy) -> Orderops:
    return Orderops(capsys)


@pytest.fixture
def dev(proxy: Proxy, dev_infra: bytes) -> Proxy:
    """The account with the infrastructure of dev."""
    proxy.bring_back(dev_infra)
    return proxy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in ENVIRONMENTS.glob("*.toml"):
        (tmp_path / path.name).write_text(path.read_text())
    return tmp_path


@pytest.mark.parametrize("env", ["staging"])
def test_every_drift_is_shown_by_the_plan_and_repaired_by_apply(
    orderops: Orderops, proxy: Proxy, client: Client, env: str
) -> None:
    words = ("--env", env, "--environments", str(ENVIRONMENTS))
    agreed = ("--yes", "--confirm", env)
    assert orderops("infra", "plan", *words).code == 3
    made = orderops("infra", "apply", *words, *agreed)
    assert made.code == 0, made.err
    again = orderops("infra", "apply", *words, *agreed)
    assert "is up to date" in again.err, again.out + again.err
    assert orderops("infra", "plan", *words).code == 0

    proxy.later(60)  # nothing was made so lately that reads may not tell it yet
    damaged = damage(client, f"orderops-{env}")
    planned = orderops("infra", "plan", *words, "--json").json

    changed = {step["address"]: step for step in planned["steps"] if step["action"] != "no-op"}
    assert set(changed) == set(damaged)
    assert {address: set(changed[address]["changes"]) & set(keys) for address, keys in damaged.items()} == damaged

    mended = orderops("infra", "apply", *words, *agreed)
    assert mended.code == 0, mended.err
    assert orderops("infra", "plan", *words).code == 0


@pytest.mark.usefixtures("dev")
def test_one_edited_line_leads_to_one_change(orderops: Orderops, folder: Path) -> None:
    words = ("--env", "dev", "--environments", str(folder))
    path = folder / "dev.toml"
    path.write_text(path.read_text().replace("visibility_timeout = 30", "visibility_timeout = 45"))

    planned = orderops("infra", "plan", *words, "--json")

    changes = {step["address"]: step["changes"] for step in planned.json["steps"] if step["action"] != "no-op"}
    assert planned.code == 3
    queue = "sqs-queue/orderops-dev-order-processor-queue"
    assert changes == {queue: {"VisibilityTimeout": {"live": 30, "desired": 45}}}
    assert orderops("infra", "apply", *words, "--yes").code == 0
    assert orderops("infra", "plan", *words).code == 0


@pytest.mark.usefixtures("dev")
def test_a_subnet_without_an_owner_is_found_by_its_address_range(orderops: Orderops, client: Client) -> None:
    words = ("--env", "dev", "--environments", str(ENVIRONMENTS))
    ec2 = client("ec2")
    named = [{"Name": "tag:Name", "Values": ["orderops-dev-private-a"]}]
    subnet = ec2.describe_subnets(Filters=named)["Subnets"][0]["SubnetId"]
    before = len(ec2.describe_subnets()["Subnets"])
    ec2.delete_tags(Resources=[subnet], Tags=[{"Key": "orderops:environment"}, {"Key": "orderops:address"}])

    planned = orderops("infra", "plan", *words, "--json").json
    refused = orderops("infra", "apply", *words, "--yes")
    adopted = orderops("infra", "apply", *words, "--yes", "--adopt", "ec2-subnet/orderops-dev-private-a")

    actions = {step["address"]: step["action"] for step in planned["steps"] if step["action"] != "no-op"}
    assert actions["ec2-subnet/orderops-dev-private-a"] == "adopt"
    assert refused.code == 1
    assert "--adopt ec2-subnet/orderops-dev-private-a" in refused.err
    assert adopted.code == 0, adopted.err
    assert len(ec2.describe_subnets()["Subnets"]) == before
    assert orderops("infra", "plan", *words).code == 0


@pytest.mark.parametrize("env", ["prod"])
def test_destroy_keeps_only_resources_that_were_not_confirmed(orderops: Orderops, client: Client, env: str) -> None:
    words = ("--env", env, "--environments", str(paged_environments()))
    orderops("infra", "apply", *words, "--yes", "--confirm", env)
    vpcs = len(client("ec2").describe_vpcs()["Vpcs"])

    first = orderops("infra", "destroy", *words, "--yes", "--confirm", env)

    database = f"orderops-{env}-database"
    assert first.code == 0, first.err
    assert f"kept: rds-instance/{database}" in first.err
    assert client("rds").describe_db_instances(DBInstanceIdentifier=database)["DBInstances"]
    assert len(client("ec2").describe_vpcs()["Vpcs"]) == vpcs
    assert not client("elbv2").describe_load_balancers()["LoadBalancers"]

    token = f"orderops/{env}/order-processor/ORDERS_TOKEN"
    confirmed = [word for name in (env, database, token) for word in ("--confirm", name)]
    second = orderops("infra", "destroy", *words, "--yes", *confirmed)

    assert second.code == 0, second.err
    assert "kept:" not in second.err
    assert not client("rds").describe_db_instances()["DBInstances"]
    assert len(client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]) == 1
    assert len(client("ec2").describe_vpcs()["Vpcs"]) == vpcs - 1
    tagged = [{"Key": "orderops:environment", "Values": [env]}]
    left = client("resourcegroupstaggingapi").get_resources(TagFilters=tagged)["ResourceTagMappingList"]
    # AWS too tells for a while of gateways that are deleted, clusters that are inactive and secrets in their recovery
    remembered = (":natgateway/", ":cluster/", ":snapshot:", ":secret:")
    assert [arn for each in left if not any(word in (arn := each["ResourceARN"]) for word in remembered)] == []
    assert {gateway["State"] for gateway in client("ec2").describe_nat_gateways()["NatGateways"]} == {"deleted"}
    assert orderops("infra", "destroy", *words, "--yes", "--confirm", env).err == f"nothing to delete in {env}\n"


def test_outputs_contain_only_known_values(orderops: Orderops, proxy: Proxy, dev_infra: bytes) -> None:
    words = ("infra", "outputs", "--env", "dev", "--environments", str(ENVIRONMENTS), "--json")
    proxy.reset()

    before = orderops(*words)
    assert (before.code, before.out) == (1, "")
    assert "resources do not exist yet" in before.err
    assert "hint: orderops infra apply --env dev" in before.err

    proxy.bring_back(dev_infra)
    told = orderops(*words).json
    assert told["queue_url"].endswith("/orderops-dev-order-processor-queue")
    assert told["load_balancer_url"].startswith("http://")
