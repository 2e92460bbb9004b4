"""CloudWatch: alarms that know nothing at first, follow their data, and stay while a composite needs them."""

from __future__ import annotations

from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.cloudwatch import alarms
from orderops.local.strict.cloudwatch.metrics import queues, record
from orderops.local.strict.cloudwatch.services import ServiceMetrics
from orderops.local.strict.delays import Delays

SERVICE = "monitoring"
LOOKS = ("DescribeAlarms", "DescribeAlarmsForMetric", "GetMetricData", "GetMetricStatistics", "ListMetrics")


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Let data appear and alarms follow it, at a look, and refuse what AWS refuses."""

    def look(call: Request, _answer: Response | None = None) -> None:
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
    emulator.instead[SERVICE, "PutMetricAlarm"] = put
    emulator.instead[SERVICE, "SetAlarmState"] = turn
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


def _tags_go_too(call: Request, _answer: Response) -> None:
    backend = _backend(call)
    for name in call.json["AlarmNames"]:
        backend.tagger.delete_all_tags_for_resource(
            f"arn:aws:cloudwatch:{call.region}:{DEFAULT_ACCOUNT_ID}:alarm:{name}"
        )


def _backend(call: Request) -> Any:
    return get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][call.region]
