"""Anomaly detectors of single metrics, which moto lacks.

From PutAnomalyDetector, DescribeAnomalyDetectors and DeleteAnomalyDetector in the CloudWatch API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.backends import get_backend
from moto.cloudwatch.models import Dimension
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import ApiError, Request, Response, json_answer
from orderops.local.emulator.server import Emulator
from orderops.local.strict.cloudwatch.bands import training_state
from orderops.local.strict.cloudwatch.points import MetricKey
from orderops.local.strict.cloudwatch.queries import PERCENTILE, STATISTICS

SERVICE = "monitoring"
SINGLE = ("Namespace", "MetricName", "Dimensions", "Stat")
NEEDED = ("Namespace", "MetricName", "Stat")
MOST_RANGES = 10
LARGEST_PAGE = 100

Identity = tuple[str, str, frozenset[tuple[str, str]], str, str]


def register(emulator: Emulator) -> None:
    """Answer in place of moto."""
    emulator.instead[SERVICE, "PutAnomalyDetector"] = _put
    emulator.instead[SERVICE, "DescribeAnomalyDetectors"] = _describe
    emulator.instead[SERVICE, "DeleteAnomalyDetector"] = _delete


def detectors_of(backend: Any) -> dict[Identity, dict[str, Any]]:
    """The detectors of a region, by what AWS knows them by; each with its metric and configuration."""
    if not hasattr(backend, "detectors"):
        backend.detectors = {}
    found: dict[Identity, dict[str, Any]] = backend.detectors
    return found


def make_missing(backend: Any, stat: Mapping[str, Any]) -> None:
    """Make the detector of a band's metric, as PutMetricAlarm does where there is none."""
    metric = {**stat["Metric"], "Stat": stat["Stat"]}
    detectors_of(backend).setdefault(identity(metric), _made(metric, {}))


def identity(metric: Mapping[str, Any]) -> Identity:
    """What AWS knows a detector by; the order of dimensions is free."""
    pairs = frozenset((pair["Name"], pair["Value"]) for pair in metric.get("Dimensions") or ())
    return metric["Namespace"], metric["MetricName"], pairs, metric["Stat"], metric.get("AccountId", "")


def _put(request: Request) -> Response:
    metric, configuration = _single(request.json), request.json.get("Configuration", {})
    ranges = configuration.get("ExcludedTimeRanges", [])
    if len(ranges) > MOST_RANGES:
        raise _wrong(f"ExcludedTimeRanges has more than {MOST_RANGES} ranges")
    if any(float(given["StartTime"]) >= float(given["EndTime"]) for given in ranges):
        raise _wrong("The StartTime of an excluded range must be before its EndTime")
    # The whole configuration is replaced.
    detectors_of(_backend(request))[identity(metric)] = _made(metric, configuration)
    return json_answer({})


def _delete(request: Request) -> Response:
    metric = _single(request.json)
    if detectors_of(_backend(request)).pop(identity(metric), None) is None:
        raise ApiError("ResourceNotFoundException", "The anomaly detector does not exist", 404)
    return json_answer({})


def _describe(request: Request) -> Response:
    given, backend = request.json, _backend(request)
    size = int(given.get("MaxResults", LARGEST_PAGE))
    if not 1 <= size <= LARGEST_PAGE:
        raise _wrong(f"MaxResults must be 1 to {LARGEST_PAGE}")
    token = str(given.get("NextToken", 0))
    if not token.isdigit():
        raise ApiError("InvalidNextToken", "The next token specified is invalid.")
    wanted = [found for _, found in sorted(detectors_of(backend).items(), key=_sorted_by) if _asked_for(found, given)]
    start = int(token)
    shown = [_described(backend, found) for found in wanted[start : start + size]]
    more = {"NextToken": str(start + size)} if len(wanted) > start + size else {}
    return json_answer({"AnomalyDetectors": shown, **more})


def _sorted_by(item: tuple[Identity, Any]) -> tuple[Any, ...]:
    namespace, name, pairs, *rest = item[0]
    return namespace, name, sorted(pairs), *rest


def _asked_for(found: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    if "SINGLE_METRIC" not in given.get("AnomalyDetectorTypes", ["SINGLE_METRIC"]):
        return False
    metric = found["SingleMetricAnomalyDetector"]
    wanted = [(pair["Name"], pair["Value"]) for pair in given.get("Dimensions") or ()]
    pairs = identity(metric)[2]
    return all(given.get(key) in (None, metric[key]) for key in ("Namespace", "MetricName")) and (
        not wanted or pairs == frozenset(wanted)
    )


def _described(backend: Any, found: Mapping[str, Any]) -> dict[str, Any]:
    metric = found["SingleMetricAnomalyDetector"]
    dimensions = [Dimension(pair["Name"], pair["Value"]) for pair in metric["Dimensions"]]
    key = MetricKey.of(metric["Namespace"], metric["MetricName"], dimensions)
    # The members of the metric are told twice, as those of former times.
    former = {key: metric[key] for key in SINGLE}
    return {**former, **found, "StateValue": training_state(backend, key, metric["Stat"])}


def _made(metric: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    single = {"Dimensions": [], **{key: metric[key] for key in (*SINGLE, "AccountId") if key in metric}}
    return {"SingleMetricAnomalyDetector": single, "Configuration": dict(configuration)}


def _single(given: Mapping[str, Any]) -> dict[str, Any]:
    """The metric of a request, in the members of its own or in those of former times."""
    if "MetricMathAnomalyDetector" in given:
        raise ApiError("NotEmulated", "detectors of metric math are not emulated on the laptop")
    former, single = {key: given[key] for key in SINGLE if key in given}, given.get("SingleMetricAnomalyDetector")
    if former and single:
        raise ApiError(
            "InvalidParameterCombination", f"{min(former)} must not be given together with SingleMetricAnomalyDetector"
        )
    metric = dict(single or former)
    if missing := [key for key in NEEDED if not metric.get(key)]:
        raise ApiError("MissingParameter", f"The parameter {missing[0]} is required")
    if metric["Stat"] not in STATISTICS and not PERCENTILE.fullmatch(metric["Stat"]):
        raise _wrong(f"The value {metric['Stat']} for parameter Stat is not supported")
    return metric


def _wrong(message: str) -> ApiError:
    return ApiError("InvalidParameterValue", message)


def _backend(request: Request) -> Any:
    return get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][request.region]
