"""CloudWatch: alarms that know nothing at first, follow their data, and stay while a composite needs them."""

from __future__ import annotations

import json
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import ApiError, Request, Response, json_answer
from orderops.local.emulator.server import Emulator
from orderops.local.strict.cloudwatch import alarms
from orderops.local.strict.cloudwatch.metrics import queues, record
from orderops.local.strict.cloudwatch.rules import BadRule, children
from orderops.local.strict.cloudwatch.services import ServiceMetrics
from orderops.local.strict.delays import Delays
from orderops.local.strict.logs.hooks import count_lines

SERVICE = "monitoring"
LOOKS = ("DescribeAlarms", "DescribeAlarmsForMetric", "GetMetricData", "GetMetricStatistics", "ListMetrics")
OF_A_COMPOSITE = {
    "description": "AlarmDescription",
    "alarm_actions": "AlarmActions",
    "ok_actions": "OKActions",
    "insufficient_data_actions": "InsufficientDataActions",
}


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Let data appear and alarms follow it, at a look, and refuse what AWS refuses."""

    def look(call: Request, _answer: Response | None = None) -> None:
        count_lines(call.region)
        asking = ServiceMetrics(emulator, call)
        record(call.region, [*queues(call.region), *asking.hosts(), *asking.tasks()])
        alarms.evaluate(call.region, pace.alarm)

    def put(call: Request) -> Response:
        return _put(emulator, call)

    def turn(call: Request) -> Response:
        return _turn(emulator, call)

    for action in LOOKS:
        emulator.on_before(SERVICE, action, look)
    emulator.on_after(SERVICE, "PutMetricData", look)
    emulator.on_after(SERVICE, "DescribeAlarms", _only_types_asked)
    emulator.instead[SERVICE, "PutMetricAlarm"] = put
    emulator.instead[SERVICE, "PutCompositeAlarm"] = _put_composite
    emulator.instead[SERVICE, "SetAlarmState"] = turn
    emulator.on_before(SERVICE, "DeleteAlarms", _nobody_needs_them)
    emulator.on_after(SERVICE, "DeleteAlarms", _tags_go_too)


def _put(emulator: Emulator, call: Request) -> Response:
    """An alarm that is there keeps its state and its tags."""
    backend, name = _backend(call), call.json["AlarmName"]
    before = backend.alarms.get(name)
    asked = {key: value for key, value in call.json.items() if not (before and key == "Tags")}
    answer = emulator.ask_moto(call, call.with_json(asked))
    if answer.ok:
        _keep_state(backend.alarms[name], before)
    return answer


def _put_composite(call: Request) -> Response:
    backend, asked = _backend(call), call.json
    name = asked["AlarmName"]
    try:
        named = children(asked["AlarmRule"])
    except BadRule as error:
        raise ApiError("ValidationError", f"Invalid AlarmRule: {error}") from None
    if missing := sorted(named - backend.alarms.keys()):
        raise ApiError("ValidationError", f"AlarmRule names alarms that do not exist: {', '.join(missing)}")
    before = backend.alarms.get(name)
    backend.put_metric_alarm(
        name=name,
        **dict.fromkeys(("namespace", "metric_name", "comparison_operator", "evaluation_periods", "period")),
        **dict.fromkeys(("threshold", "statistic")),
        **{ours: asked.get(theirs) or ("" if ours == "description" else []) for ours, theirs in OF_A_COMPOSITE.items()},
        dimensions=[],
        actions_enabled=asked.get("ActionsEnabled", True),
        rule=asked["AlarmRule"],
        tags=None if before else asked.get("Tags"),
    )
    _keep_state(backend.alarms[name], before)
    return json_answer({})


def _keep_state(alarm: Any, before: Any) -> None:
    if before is None:
        alarm.state_value = "INSUFFICIENT_DATA"
        return
    for name in ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp", "history"):
        setattr(alarm, name, getattr(before, name))


def _turn(emulator: Emulator, call: Request) -> Response:
    alarm = _backend(call).alarms.get(call.json["AlarmName"])
    before = alarm.state_value if alarm else ""
    answer = emulator.ask_moto(call, call.again())
    if answer.ok and alarm.state_value != before:
        alarms.act(call.region, alarm, before)
    return answer


def _nobody_needs_them(call: Request) -> None:
    every = _backend(call).alarms
    going = set(call.json["AlarmNames"])
    composites = [name for name in going if name in every and every[name].rule is not None]
    if len(composites) > 1:
        raise ApiError("ValidationError", "Only one composite alarm can be deleted in a call.")
    for other in every.values():
        if other.rule is not None and other.name not in going and (needed := going & children(other.rule)):
            raise ApiError(
                "ValidationError", f"Cannot delete {min(needed)}: composite alarm {other.name} depends on it."
            )


def _tags_go_too(call: Request, _answer: Response) -> None:
    backend = _backend(call)
    for name in call.json["AlarmNames"]:
        backend.tagger.delete_all_tags_for_resource(
            f"arn:aws:cloudwatch:{call.region}:{DEFAULT_ACCOUNT_ID}:alarm:{name}"
        )


def _only_types_asked(call: Request, answer: Response) -> Response | None:
    """Composite alarms are told to those who ask for them."""
    types = call.json.get("AlarmTypes") or ["MetricAlarm"]
    told = json.loads(answer.body)
    for key in ("MetricAlarms", "CompositeAlarms"):
        if key.removesuffix("s") not in types:
            told[key] = []
    return Response(answer.status, json.dumps(told).encode(), answer.headers)


def _backend(call: Request) -> Any:
    return get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][call.region]
