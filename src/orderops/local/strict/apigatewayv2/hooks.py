"""Answers of API Gateway for HTTP APIs, in place of moto's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from orderops.local.emulator.protocol import Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.acm import issue_proven
from orderops.local.strict.apigatewayv2 import (
    apis,
    authorizers,
    domains,
    integrations,
    links,
    mappings,
    routes,
    stages,
)
from orderops.local.strict.delays import Delays

SERVICE = "apigateway"
Answer = Callable[[Request], Response]
ANSWERS: Mapping[str, Answer] = {
    "CreateApi": apis.create_api,
    "CreateApiMapping": mappings.create_mapping,
    "CreateAuthorizer": authorizers.create_authorizer,
    "CreateDomainName": domains.create_domain_now,
    "CreateIntegration": integrations.create_integration,
    "CreateRoute": routes.create_route,
    "CreateStage": stages.create_stage,
    "CreateVpcLink": links.create_ready_link,
    "DeleteAccessLogSettings": stages.delete_access_log_settings,
    "DeleteApi": apis.delete_api,
    "DeleteApiMapping": mappings.delete_mapping,
    "DeleteAuthorizer": authorizers.delete_authorizer,
    "DeleteDomainName": domains.delete_domain,
    "DeleteIntegration": integrations.delete_integration,
    "DeleteRoute": routes.delete_route,
    "DeleteRouteSettings": stages.delete_route_settings,
    "DeleteStage": stages.delete_stage,
    "DeleteVpcLink": links.delete_link,
    "GetApi": apis.get_api,
    "GetApiMapping": mappings.get_mapping,
    "GetApiMappings": mappings.get_mappings,
    "GetApis": apis.get_apis,
    "GetAuthorizer": authorizers.get_authorizer,
    "GetAuthorizers": authorizers.get_authorizers,
    "GetDomainName": domains.get_domain,
    "GetDomainNames": domains.get_domains,
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
    "UpdateApiMapping": mappings.update_mapping,
    "UpdateApi": apis.update_api,
    "UpdateAuthorizer": authorizers.update_authorizer,
    "UpdateDomainName": domains.update_domain_now,
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
    """Let VPC links and domain names take their time."""
    timed: Mapping[str, Answer] = {
        "CreateVpcLink": partial(links.create_link, delays.link),
        "CreateDomainName": partial(domains.create_domain, delays.domain),
        "UpdateDomainName": partial(domains.update_domain, delays.domain),
    }
    for action, answers in timed.items():
        emulator.instead[SERVICE, action] = _of_version_two(answers)

    def issue(request: Request) -> None:
        issue_proven(request.region, delays.certificate)

    for action in ("CreateDomainName", "UpdateDomainName"):
        emulator.on_before(SERVICE, action, issue)


def _of_version_two(answers: Answer) -> Callable[[Request], Response | None]:
    """Leave REST APIs to moto: some of their operations have the same names."""

    def answer(request: Request) -> Response | None:
        return answers(request) if request.path.startswith("/v2/") else None

    return answer
