"""Answers of API Gateway for HTTP APIs, in place of moto's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from orderops.local.emulator.protocol import Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.apigatewayv2 import apis, authorizers, integrations, links, routes, stages
from orderops.local.strict.delays import Delays

SERVICE = "apigateway"
Answer = Callable[[Request], Response]
ANSWERS: Mapping[str, Answer] = {
    "CreateApi": apis.create_api,
    "CreateAuthorizer": authorizers.create_authorizer,
    "CreateIntegration": integrations.create_integration,
    "CreateRoute": routes.create_route,
    "CreateStage": stages.create_stage,
    "CreateVpcLink": links.create_ready_link,
    "DeleteAccessLogSettings": stages.delete_access_log_settings,
    "DeleteApi": apis.delete_api,
    "DeleteAuthorizer": authorizers.delete_authorizer,
    "DeleteIntegration": integrations.delete_integration,
    "DeleteRoute": routes.delete_route,
    "DeleteRouteSettings": stages.delete_route_settings,
    "DeleteStage": stages.delete_stage,
    "DeleteVpcLink": links.delete_link,
    "GetApi": apis.get_api,
    "GetApis": apis.get_apis,
    "GetAuthorizer": authorizers.get_authorizer,
    "GetAuthorizers": authorizers.get_authorizers,
    "GetIntegration": integrations.get_integration,
    "GetIntegrations": integrations.get_integrations,
    "GetRoute": routes.get_route,
    "GetRoutes": routes.get_routes,
    "GetStage": stages.get_stage,
    "GetStages": stages.get_stages,
    "GetTags": apis.get_tags,
    "GetVpcLink": links.get_link,
    "GetVpcLinks": links.get_links,
    "TagResource": apis.tag_resource,
    "UntagResource": apis.untag_resource,
    "UpdateApi": apis.update_api,
    "UpdateAuthorizer": authorizers.update_authorizer,
    "UpdateIntegration": integrations.update_integration,
    "UpdateRoute": routes.update_route,
    "UpdateStage": stages.update_stage,
    "UpdateVpcLink": links.update_link,
}


def patch(emulator: Emulator) -> None:
    """Answer everything that an HTTP API needs; moto cannot change a stage."""
    for action, answers in ANSWERS.items():
        emulator.instead[SERVICE, action] = _of_version_two(answers)


def register(emulator: Emulator, delays: Delays) -> None:
    """Let VPC links take their time."""
    create = partial(links.create_link, delays.link)
    emulator.instead[SERVICE, "CreateVpcLink"] = _of_version_two(create)


def _of_version_two(answers: Answer) -> Callable[[Request], Response | None]:
    """Leave REST APIs to moto: some of their operations have the same names."""

    def answer(request: Request) -> Response | None:
        return answers(request) if request.path.startswith("/v2/") else None

    return answer
