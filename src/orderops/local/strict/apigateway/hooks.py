"""Answers of API Gateway for REST APIs, in place of moto's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from orderops.local.emulator.protocol import Request, Response
from orderops.local.emulator.server import Emulator, Instead
from orderops.local.strict.apigateway import apis, plans, stages
from orderops.local.strict.delays import Delays

SERVICE = "apigateway"
Answer = Callable[[Request], Response]
ANSWERS: Mapping[str, Answer] = {
    "CreateApiKey": plans.create_api_key,
    "CreateDeployment": stages.create_deployment,
    "CreateRestApi": apis.create_rest_api,
    "CreateUsagePlan": plans.create_usage_plan,
    "CreateUsagePlanKey": plans.create_usage_plan_key,
    "DeleteApiKey": plans.delete_api_key,
    "DeleteDeployment": stages.delete_deployment,
    "DeleteRestApi": partial(apis.delete_rest_api, 0.0),
    "DeleteStage": stages.delete_stage,
    "DeleteUsagePlan": plans.delete_usage_plan,
    "GetAccount": apis.get_account,
    "GetApiKey": plans.get_api_key,
    "GetApiKeys": plans.get_api_keys,
    "GetDeployment": stages.get_deployment,
    "GetDeployments": stages.get_deployments,
    "GetResources": apis.get_resources,
    "GetRestApi": apis.get_rest_api,
    "GetRestApis": apis.get_rest_apis,
    "GetStage": stages.get_stage,
    "GetStages": stages.get_stages,
    "GetTags": apis.get_tags,
    "GetUsagePlan": plans.get_usage_plan,
    "GetUsagePlanKey": plans.get_usage_plan_key,
    "GetUsagePlanKeys": plans.get_usage_plan_keys,
    "GetUsagePlans": plans.get_usage_plans,
    "PutRestApi": apis.put_rest_api,
    "TagResource": apis.tag_resource,
    "UntagResource": apis.untag_resource,
    "UpdateAccount": apis.update_account,
    "UpdateApiKey": plans.update_api_key,
    "UpdateRestApi": apis.update_rest_api,
    "UpdateStage": stages.update_stage,
    "UpdateUsagePlan": plans.update_usage_plan,
}


def patch(emulator: Emulator) -> None:
    """Answer everything that a REST API needs. HTTP APIs have operations of the same names, under `/v2/`."""
    for action, answers in ANSWERS.items():
        emulator.instead[SERVICE, action] = _beside(answers, emulator.instead.get((SERVICE, action)))


def register(emulator: Emulator, delays: Delays) -> None:
    """Let an account delete one API at a time."""
    emulator.instead[SERVICE, "DeleteRestApi"] = partial(apis.delete_rest_api, delays.rest_api)


def _beside(answers: Answer, of_version_two: Instead | None) -> Instead:
    def answer(request: Request) -> Response | None:
        if request.path.startswith("/v2/"):
            return of_version_two(request) if of_version_two else None
        return answers(request)

    return answer
