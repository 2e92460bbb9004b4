"""Dashboards: global to the account, with tags, and refused where their body is wrong.

From PutDashboard and "Dashboard body structure and syntax" in the CloudWatch API reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.utilities.utils import get_partition

from orderops.local.emulator.protocol import ApiError, Request, Response, json_answer
from orderops.local.emulator.server import Emulator

SERVICE = "monitoring"
NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
KINDS = {"metric", "text", "log", "alarm", "explorer", "custom"}
NEEDED = {"metric": ("region",), "alarm": ("alarms",), "text": ("markdown",), "log": ("region", "query")}
# Smallest and largest: a dashboard has 24 columns.
PLACES = {"x": (0, 23), "y": (0, 10_000), "width": (1, 24), "height": (1, 1000)}
MOST_WIDGETS, MOST_ALARMS, MOST_METRICS = 500, 100, 500
VIEWS = {"timeSeries", "singleValue", "gauge", "bar", "pie", "table"}


def register(emulator: Emulator) -> None:
    """Answer in place of moto, which keeps a dashboard in one region and checks only that it is JSON."""
    emulator.instead[SERVICE, "PutDashboard"] = _put
    emulator.instead[SERVICE, "GetDashboard"] = _get
    emulator.instead[SERVICE, "ListDashboards"] = _list
    emulator.instead[SERVICE, "DeleteDashboards"] = _delete


def _put(request: Request) -> Response:
    backend, name = _backend(), request.json["DashboardName"]
    if not NAME.fullmatch(name):
        raise ApiError("InvalidParameterValue", "The value for field DashboardName contains invalid characters")
    try:
        body = json.loads(request.json["DashboardBody"])
    except ValueError:
        body = None
    if messages := list(_errors(body)):
        raise ApiError(
            "InvalidParameterInput", f"The dashboard body is invalid, there are validation errors: {messages}"
        )
    is_new = name not in backend.dashboards
    dashboard = backend.put_dashboard(name, request.json["DashboardBody"])
    # Without a region.
    dashboard.arn = f"arn:{get_partition(request.region)}:cloudwatch::{DEFAULT_ACCOUNT_ID}:dashboard/{name}"
    if is_new and (tags := request.json.get("Tags")):
        get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][request.region].tagger.tag_resource(dashboard.arn, tags)
    return json_answer({"DashboardValidationMessages": list(_warnings(body))})


def _get(request: Request) -> Response:
    name = request.json["DashboardName"]
    if (found := _backend().dashboards.get(name)) is None:
        raise ApiError("ResourceNotFound", f"Dashboard {name} does not exist", 404)
    return json_answer({"DashboardName": name, "DashboardArn": found.arn, "DashboardBody": found.body})


def _list(request: Request) -> Response:
    prefix = request.json.get("DashboardNamePrefix", "")
    entries = [
        {
            "DashboardName": name,
            "DashboardArn": found.arn,
            "Size": len(found.body),
            "LastModified": found.last_modified.timestamp(),
        }
        for name, found in sorted(_backend().dashboards.items())
        if name.startswith(prefix)
    ]
    return json_answer({"DashboardEntries": entries})


def _delete(request: Request) -> Response:
    """Delete all, or none if one of them does not exist."""
    known, names = _backend().dashboards, request.json.get("DashboardNames", [])
    if missing := [name for name in names if name not in known]:
        raise ApiError("ResourceNotFound", f"The specified dashboard does not exist. {missing}", 404)
    for name in names:
        arn = known.pop(name).arn
        get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][request.region].tagger.delete_all_tags_for_resource(arn)
    return json_answer({})


def _errors(body: Any) -> Iterator[dict[str, str]]:
    if not isinstance(body, dict) or not isinstance(body.get("widgets"), list):
        yield _message("/", "The dashboard body must be a JSON object with widgets")
        return
    if len(body["widgets"]) > MOST_WIDGETS:
        yield _message("/widgets", f"Should NOT have more than {MOST_WIDGETS} items")
    for index, widget in enumerate(body["widgets"]):
        path = f"/widgets/{index}"
        if widget.get("type") not in KINDS:
            yield _message(f"{path}/type", "Should be equal to one of the allowed values")
            continue
        for key, (least, most) in PLACES.items():
            if key in widget and not least <= widget[key] <= most:
                yield _message(f"{path}/{key}", f"Should be >= {least} and <= {most}")
        properties = widget.get("properties", {})
        for key in NEEDED.get(widget["type"], ()):
            if not properties.get(key):
                yield _message(f"{path}/properties", f"Should have required property '{key}'")
        if len(properties.get("alarms", ())) > MOST_ALARMS or len(properties.get("metrics", ())) > MOST_METRICS:
            yield _message(f"{path}/properties", "Should NOT have more items")
        if properties.get("view", "timeSeries") not in VIEWS:
            yield _message(f"{path}/properties/view", "Should be equal to one of the allowed values")


def _warnings(body: dict[str, Any]) -> Iterator[dict[str, str]]:
    """What AWS stores and complains about."""
    for index, widget in enumerate(body["widgets"]):
        for place, metric in enumerate(widget.get("properties", {}).get("metrics", ())):
            words = [word for word in metric if isinstance(word, str)]
            if words and len(words) % 2:
                path = f"/widgets/{index}/properties/metrics/{place}"
                yield _message(path, "Invalid metric field: a namespace, a name, and pairs of dimensions are needed")


def _message(path: str, text: str) -> dict[str, str]:
    return {"DataPath": path, "Message": text}


def _backend() -> Any:
    return get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID]["us-east-1"]
