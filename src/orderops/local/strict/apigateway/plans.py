"""Usage plans and API keys. The value of a key is given at its creation, and to those that ask for values."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Mapping

from orderops.local.apigateway.rest_store import api_keys, rest_records, usage_plans
from orderops.local.apigateway.store import Json, new_id
from orderops.local.emulator.protocol import Request, Response
from orderops.local.strict.apigateway.answers import answer, listed, patches, query, segments, wrong_patch
from orderops.local.strict.apigatewayv2.answers import bad, conflict, not_found

PERIODS = ("DAY", "WEEK", "MONTH")
LETTERS = string.ascii_letters + string.digits
MOST_PLANS, MOST_KEYS = 300, 10_000


def create_usage_plan(request: Request) -> Response:
    sent = request.json
    if not sent.get("name"):
        raise bad("Usage Plan name is required")
    if len(usage_plans(request.region)) >= MOST_PLANS:
        raise bad("Maximum number of Usage Plans has been reached")
    plan: Json = {
        "id": new_id(6),
        "name": sent["name"],
        "apiStages": [],
        **{key: sent[key] for key in ("throttle", "quota") if sent.get(key)},
        "tags": sent.get("tags", {}),
        "_keys": [],
    }
    for stage in sent.get("apiStages", ()):
        _add_stage(request.region, plan, f"{stage.get('apiId')}:{stage.get('stage')}")
    _check(plan)
    usage_plans(request.region)[plan["id"]] = plan
    return answer(plan, 201)


def get_usage_plan(request: Request) -> Response:
    return answer(_plan(request))


def get_usage_plans(request: Request) -> Response:
    key = query(request).get("keyId")
    plans = usage_plans(request.region).values()
    return listed(request, [plan for plan in plans if key is None or key in plan["_keys"]])


def update_usage_plan(request: Request) -> Response:
    plan = _plan(request)
    changed: Json = {key: value.copy() if isinstance(value, dict | list) else value for key, value in plan.items()}
    for op, pieces, value in patches(request):
        match op, pieces:
            case "replace", ["name"]:
                changed["name"] = value
            case "add", ["apiStages"]:
                _add_stage(request.region, changed, value)
            case "remove", ["apiStages"]:
                stages = [one for one in changed["apiStages"] if f"{one['apiId']}:{one['stage']}" != value]
                if stages == changed["apiStages"]:
                    raise bad("Invalid API Stage specified")
                changed["apiStages"] = stages
            case "remove", ["throttle" | "quota" as key]:
                changed.pop(key, None)
            case "add" | "replace", ["throttle" | "quota" as key, name]:
                changed.setdefault(key, {})[name] = _number(name, value)
            case _:
                raise wrong_patch(op, pieces)
    _check(changed)
    plan.clear()
    plan |= changed
    return answer(plan)


def delete_usage_plan(request: Request) -> Response:
    plan = _plan(request)
    if plan["apiStages"]:
        named = ", ".join(f"{one['apiId']}:{one['stage']}" for one in plan["apiStages"])
        text = (
            f"Cannot delete Usage Plan {plan['id']} because there are API Stages associated with it, including {named}"
        )
        raise bad(text)
    del usage_plans(request.region)[plan["id"]]
    return Response(202, b"", [])


def create_api_key(request: Request) -> Response:
    sent = request.json
    value = sent.get("value") or "".join(secrets.choice(LETTERS) for _ in range(40))
    if not 20 <= len(value) <= 128:
        raise bad("API Key value should be at least 20 characters and at most 128")
    keys = api_keys(request.region)
    if any(key["_value"] == value for key in keys.values()):
        raise conflict("API Key already exists")
    if len(keys) >= MOST_KEYS:
        raise bad("Maximum number of API Keys has been reached")
    now = time.time()
    key: Json = {
        "id": new_id(),
        "name": sent.get("name", ""),
        **({"description": sent["description"]} if sent.get("description") else {}),
        # A key that is made without a word is of no use yet.
        "enabled": sent.get("enabled", False),
        "createdDate": now,
        "lastUpdatedDate": now,
        "stageKeys": [],
        "tags": sent.get("tags", {}),
        "_value": value,
    }
    keys[key["id"]] = key
    return answer(_shown(key, values=True), 201)


def get_api_key(request: Request) -> Response:
    return answer(_shown(_key(request), values=query(request).get("includeValue") == "true"))


def get_api_keys(request: Request) -> Response:
    wanted = query(request)
    found = [key for key in api_keys(request.region).values() if key["name"].startswith(wanted.get("name", ""))]
    return listed(request, [_shown(key, values=wanted.get("includeValues") == "true") for key in found])


def update_api_key(request: Request) -> Response:
    key = _key(request)
    for op, pieces, value in patches(request):
        if (op, pieces) != ("replace", ["enabled"]):
            raise wrong_patch(op, pieces)
        key["enabled"] = value == "true"
    return answer(key)


def delete_api_key(request: Request) -> Response:
    id = _key(request)["id"]
    del api_keys(request.region)[id]
    for plan in usage_plans(request.region).values():
        plan["_keys"] = [one for one in plan["_keys"] if one != id]
    return Response(202, b"", [])


def create_usage_plan_key(request: Request) -> Response:
    plan, sent = _plan(request), request.json
    if sent.get("keyType") != "API_KEY":
        raise bad("Invalid key type specified")
    key = api_keys(request.region).get(sent.get("keyId", ""))
    if key is None:
        raise not_found("API Key", sent.get("keyId", ""))
    stages = [
        stage
        for other in usage_plans(request.region).values()
        if key["id"] in other["_keys"]
        for stage in other["apiStages"]
    ]
    if key["id"] in plan["_keys"] or any(stage in stages for stage in plan["apiStages"]):
        raise conflict("Usage Plan Key already exists for the API Stage")
    plan["_keys"].append(key["id"])
    return answer(_in_plan(key), 201)


def get_usage_plan_keys(request: Request) -> Response:
    keys = api_keys(request.region)
    return listed(request, [_in_plan(keys[id]) for id in _plan(request)["_keys"]])


def get_usage_plan_key(request: Request) -> Response:
    plan, id = _plan(request), segments(request)[3]
    if id not in plan["_keys"]:
        raise not_found("API Key", id)
    return answer(_in_plan(api_keys(request.region)[id]))


def _in_plan(key: Json) -> Json:
    return {"id": key["id"], "type": "API_KEY", "name": key["name"]}


def _shown(key: Json, *, values: bool) -> Mapping[str, object]:
    return {**key, "value": key["_value"]} if values else key


def _plan(request: Request) -> Json:
    id = segments(request)[1]
    if id not in usage_plans(request.region):
        raise not_found("Usage Plan", id)
    return usage_plans(request.region)[id]


def _key(request: Request) -> Json:
    id = segments(request)[1]
    if id not in api_keys(request.region):
        raise not_found("API Key", id)
    return api_keys(request.region)[id]


def _add_stage(region: str, plan: Json, text: str) -> None:
    api, _, stage = text.partition(":")
    if stage not in rest_records(region).get(api, {}).get("stages", {}):
        raise not_found("API Stage", text)
    entry = {"apiId": api, "stage": stage}
    if entry in plan["apiStages"]:
        raise bad("Usage plan already has the API Stage")
    plan["apiStages"] = [*plan["apiStages"], entry]


def _number(name: str, value: str) -> object:
    if name == "period":
        return value
    try:
        return float(value) if name == "rateLimit" else int(value)
    except ValueError:
        raise bad(f"Invalid value specified for {name}: {value}") from None


def _check(plan: Json) -> None:
    if (throttle := plan.get("throttle")) is not None and throttle.get("rateLimit", 0) < 0:
        raise bad("Usage plan rate limit must not be negative")
    if (quota := plan.get("quota")) is None:
        return
    quota.setdefault("offset", 0)
    if quota.get("period") not in PERIODS or quota.get("limit", 0) < 1:
        raise bad("Usage Plan quota limit and period must be specified")
