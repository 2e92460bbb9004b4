"""CloudWatch: new alarms have no data, follow it later, and keep state and tags when put again."""

from __future__ import annotations

import json
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.utilities.utils import get_partition

from orderops.local.emulator.protocol import Request, Response, json_answer
from orderops.local.emulator.server import Emulator
from orderops.local.sqs.api import SqsMessages
from orderops.local.strict.cloudwatch import alarms, dashboards, detectors
from orderops.local.strict.cloudwatch.checks import check_alarm
from orderops.local.strict.cloudwatch.composites import (
    act,
    check_deletion,
    described,
    evaluate_composites,
    put_composite_alarm,
)
from orderops.local.strict.cloudwatch.history import describe_history, note
from orderops.local.strict.cloudwatch.metrics import certificates, queues, record
from orderops.local.strict.cloudwatch.notifications import note_state, notify
from orderops.local.strict.cloudwatch.queries import get_metric_data, refused
from orderops.local.strict.cloudwatch.services import ServiceMetrics
from orderops.local.strict.delays import Delays

SERVICE = "monitoring"
# Requests whose result depends on current metrics or alarm states.
EVALUATING_ACTIONS = (
    "DescribeAlarms",
    "DescribeAlarmsForMetric",
    "GetMetricData",
    "GetMetricStatistics",
    "ListMetrics",
)


def register(emulator: Emulator, delays: Delays, messages: SqsMessages) -> None:
    """Record metrics and evaluate alarms whenever they are read, and reject what AWS rejects."""

    def evaluate(request: Request, _answer: Response | None = None) -> None:
        service_metrics = ServiceMetrics(emulator, request)
        measured = [*queues(request.region, messages), *certificates(request.region)]
        record(request.region, [*measured, *service_metrics.hosts(), *service_metrics.tasks()])
        alarms.evaluate(request.region, delays.alarm)

    def put_alarm(request: Request) -> Response:
        return _put_alarm(emulator, request)

    def get_data(request: Request) -> Response:
        # What answers in moto's place comes before the hooks, which record the metrics of now.
        for before in emulator.before.get((SERVICE, "GetMetricData"), ()):
            before(request)
        return get_metric_data(_backend(request), request)

    def set_state(request: Request) -> Response:
        return _set_alarm_state(emulator, request)

    def get_history(request: Request) -> Response:
        evaluate(request)
        return describe_history(_backend(request), request)

    dashboards.register(emulator)
    detectors.register(emulator)
    for action in EVALUATING_ACTIONS:
        emulator.on_before(SERVICE, action, evaluate)
    emulator.on_after(SERVICE, "PutMetricData", evaluate)
    emulator.instead[SERVICE, "PutMetricAlarm"] = put_alarm
    emulator.instead[SERVICE, "PutCompositeAlarm"] = _put_composite
    emulator.instead[SERVICE, "DescribeAlarmHistory"] = get_history
    emulator.on_after(SERVICE, "DescribeAlarms", _of_types)
    emulator.on_before(SERVICE, "DeleteAlarms", lambda request: check_deletion(_backend(request), request))
    emulator.instead[SERVICE, "SetAlarmState"] = set_state
    emulator.instead[SERVICE, "GetMetricData"] = get_data
    # moto keeps the tags, and a new alarm of the same name would inherit them.
    emulator.on_after(SERVICE, "DeleteAlarms", _delete_tags)


def _put_alarm(emulator: Emulator, request: Request) -> Response:
    """Put an alarm; an existing one keeps its state and tags, which moto would reset."""
    check_alarm(request.json)
    backend, name = _backend(request), request.json["AlarmName"]
    previous = backend.alarms.get(name)
    if previous is not None and previous.rule is not None:
        raise refused(f"An alarm named {name} already exists and is a composite alarm")
    parameters = {key: value for key, value in request.json.items() if not (previous and key == "Tags")}
    response = emulator.call_moto(request, request.with_json(parameters))
    if response.ok:
        _keep_state(backend.alarms[name], previous)
        for query in request.json.get("Metrics") or () if request.json.get("ThresholdMetricId") else ():
            if "MetricStat" in query:
                detectors.make_missing(backend, query["MetricStat"])
        note(
            backend,
            backend.alarms[name],
            "ConfigurationUpdate",
            f'Alarm "{name}" {"updated" if previous else "created"}',
        )
    return response


def _keep_state(alarm: Any, previous: Any) -> None:
    if previous is None:
        # moto starts with OK.
        alarm.state_value = "INSUFFICIENT_DATA"
        return
    for name in ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp", "history"):
        setattr(alarm, name, getattr(previous, name))


def _set_alarm_state(emulator: Emulator, request: Request) -> Response:
    alarm = _backend(request).alarms.get(request.json["AlarmName"])
    previous = alarm.state_value if alarm else ""
    response = emulator.call_moto(request, request.unchanged())
    if response.ok and alarm.state_value != previous:
        note_state(request.region, alarm, previous)
        (notify if alarm.rule is None else act)(request.region, alarm, previous)
        evaluate_composites(request.region)
    return response


def _put_composite(request: Request) -> Response:
    put_composite_alarm(_backend(request), request)
    evaluate_composites(request.region)
    return json_answer({})


def _of_types(request: Request, response: Response) -> Response:
    """Keep the alarms of the types that were asked for; moto ignores AlarmTypes, and AWS leaves composites out."""
    types = request.json.get("AlarmTypes") or ["MetricAlarm"]
    document, known = json.loads(response.body), _backend(request).alarms
    names = [alarm["AlarmName"] for alarm in document.get("CompositeAlarms", ())]
    document["CompositeAlarms"] = [described(known[name]) for name in names if "CompositeAlarm" in types]
    if "MetricAlarm" not in types:
        document["MetricAlarms"] = []
    return json_answer(document)


def _delete_tags(request: Request, _answer: Response) -> None:
    backend = _backend(request)
    for name in request.json["AlarmNames"]:
        backend.tagger.delete_all_tags_for_resource(
            f"arn:{get_partition(request.region)}:cloudwatch:{request.region}:{DEFAULT_ACCOUNT_ID}:alarm:{name}"
        )


def _backend(request: Request) -> Any:
    return get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][request.region]
