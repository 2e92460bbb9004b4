"""Dashboards of the strict emulator, as the CloudWatch API reference describes them."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from support.strict_clients import Client, Refused

GRAPH: dict[str, Any] = {
    "type": "metric",
    "x": 0,
    "y": 0,
    "width": 8,
    "height": 6,
    "properties": {"region": "ap-southeast-2", "metrics": [["AWS/SQS", "x", "QueueName", "q", {"stat": "Sum"}]]},
}


def put(client: Any, *widgets: dict[str, Any], name: str = "board") -> Any:
    return client.put_dashboard(DashboardName=name, DashboardBody=json.dumps({"widgets": widgets}))


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "graph"},
        {"x": 24},
        {"width": 0},
        {"height": 1001},
        {"properties": {"metrics": []}},
        {"properties": {"region": "x", "view": "circle"}},
        {"type": "alarm", "properties": {"title": "x"}},
        {"type": "alarm", "properties": {"alarms": ["arn"] * 101}},
    ],
    ids=str,
)
def test_a_wrong_widget_is_refused(moto: Client, strict: Client, refused: Refused, changes: dict[str, Any]) -> None:
    widget = {**GRAPH, **changes}
    put(moto("cloudwatch"), widget, name="loose")

    with refused("InvalidParameterInput"):
        put(strict("cloudwatch"), widget)


@pytest.mark.parametrize("name", ["with space", "x" * 256, "a/b"])
def test_a_wrong_name_is_refused(strict: Client, refused: Refused, name: str) -> None:
    with refused("InvalidParameterValue"):
        put(strict("cloudwatch"), GRAPH, name=name)


def test_a_body_that_is_no_dashboard_is_refused(strict: Client, refused: Refused) -> None:
    for body in ("{", "[]", "{}", json.dumps({"widgets": [GRAPH] * 501})):
        with refused("InvalidParameterInput"):
            strict("cloudwatch").put_dashboard(DashboardName="board", DashboardBody=body)


def test_a_metric_without_all_its_words_is_stored_with_a_warning(strict: Client) -> None:
    graph = {**GRAPH, "properties": {"region": "x", "metrics": [["AWS/SQS", "x", "QueueName"]]}}

    (message,) = put(strict("cloudwatch"), graph)["DashboardValidationMessages"]

    assert message["DataPath"] == "/widgets/0/properties/metrics/0"
    assert strict("cloudwatch").list_dashboards()["DashboardEntries"][0]["DashboardName"] == "board"


def test_a_dashboard_is_visible_from_every_region(strict: Client) -> None:
    put(strict("cloudwatch"), GRAPH)
    url, session = strict("cloudwatch").meta.endpoint_url, boto3.Session("testing", "testing")

    other = session.client("cloudwatch", "eu-west-1", endpoint_url=url)

    assert other.get_dashboard(DashboardName="board")["DashboardArn"].startswith("arn:aws:cloudwatch::1")


def test_deleting_an_absent_dashboard_too_deletes_none(strict: Client, refused: Refused) -> None:
    put(strict("cloudwatch"), GRAPH)

    with refused("ResourceNotFound"):
        strict("cloudwatch").delete_dashboards(DashboardNames=["board", "absent"])

    assert len(strict("cloudwatch").list_dashboards()["DashboardEntries"]) == 1
    strict("cloudwatch").delete_dashboards(DashboardNames=["board"])
    with refused("ResourceNotFound"):
        strict("cloudwatch").get_dashboard(DashboardName="board")


def test_tags_are_taken_only_when_a_dashboard_is_created(strict: Client) -> None:
    client, body = strict("cloudwatch"), json.dumps({"widgets": [GRAPH]})
    for value in "12":
        client.put_dashboard(DashboardName="board", DashboardBody=body, Tags=[{"Key": "a", "Value": value}])

    arn = client.get_dashboard(DashboardName="board")["DashboardArn"]
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": "1"}]
