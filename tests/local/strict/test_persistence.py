"""Pending states survive the end of the emulator."""

from __future__ import annotations

from pathlib import Path

from moto.moto_api._internal import moto_api_backend

from local.strict.test_elbv2 import create, state
from orderops.local.emulator.persistence import dump, load
from support.emulated_network import Network, until
from support.strict_clients import Client, Refused


def test_pending_states_continue_in_the_next_emulator(
    moto: Client, strict: Client, refused: Refused, tmp_path: Path
) -> None:
    network, ec2 = Network(moto), strict("ec2")
    group = network.group("front")
    deleted = create(strict, network, "gone", SecurityGroups=[group])
    existing = create(strict, network, "there")
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=network.subnets[0], AllocationId=address)["NatGateway"]["NatGatewayId"]
    strict("elbv2").delete_load_balancer(LoadBalancerArn=deleted["LoadBalancerArn"])

    (tmp_path / "state").write_bytes(dump(None))
    moto_api_backend.reset()
    load(tmp_path / "state")

    with refused("DependencyViolation"):
        ec2.delete_security_group(GroupId=group)
    until(lambda: ec2.describe_nat_gateways(NatGatewayIds=[nat])["NatGateways"][0]["State"] == "available")
    until(lambda: state(strict, existing) == "active")


def test_anomaly_detectors_survive_the_end_of_the_emulator(strict: Client, tmp_path: Path) -> None:
    client = strict("cloudwatch")
    pairs = [{"Name": "QueueName", "Value": "orders"}]
    single = {"Namespace": "AWS/SQS", "MetricName": "Age", "Dimensions": pairs, "Stat": "Minimum"}
    client.put_anomaly_detector(SingleMetricAnomalyDetector=single)

    (tmp_path / "state").write_bytes(dump(None))
    moto_api_backend.reset()
    assert client.describe_anomaly_detectors()["AnomalyDetectors"] == []
    load(tmp_path / "state")

    assert [found["MetricName"] for found in client.describe_anomaly_detectors()["AnomalyDetectors"]] == ["Age"]


def test_a_listing_that_was_not_read_to_its_end_does_not_prevent_saving(
    strict: Client, refused: Refused, tmp_path: Path
) -> None:
    sqs, tagging = strict("sqs"), strict("resourcegroupstaggingapi")
    for name in ("orders", "payments"):
        sqs.create_queue(QueueName=name, tags={"team": "shop"})
    token = tagging.get_resources(ResourcesPerPage=1)["PaginationToken"]

    (tmp_path / "state").write_bytes(dump(None))
    load(tmp_path / "state")

    assert len(tagging.get_resources()["ResourceTagMappingList"]) == 2
    with refused("PaginationTokenExpiredException"):
        tagging.get_resources(PaginationToken=token)
