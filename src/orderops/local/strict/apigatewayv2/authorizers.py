"""JWT authorizers: the issuer must be one, and a route that uses an authorizer keeps it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from orderops.local.apigateway.store import Json, new_id
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.strict.apigatewayv2.answers import answer, api_of, bad, conflict, deleted, entry_of, given, listed
from orderops.local.strict.apigatewayv2.stages import redeploy

SOURCE = re.compile(r"\$request\.(header|querystring)\.[\w-]+", re.ASCII)
MOST = 10
THIS_MACHINE = ("localhost", "127.0.0.1")


def create_authorizer(request: Request) -> Response:
    api, sent = api_of(request), given(request)
    if len(api.authorizers) >= MOST:
        raise bad("Maximum number of Authorizers for this API has been reached")
    _check(sent)
    authorizer = {**sent, "authorizerId": new_id(6)}
    api.authorizers[authorizer["authorizerId"]] = authorizer
    return answer(authorizer, 201)


def get_authorizer(request: Request) -> Response:
    return answer(entry_of(request, api_of(request).authorizers, "Authorizer"))


def get_authorizers(request: Request) -> Response:
    return listed(request, api_of(request).authorizers.values())


def update_authorizer(request: Request) -> Response:
    api, sent = api_of(request), given(request)
    authorizer = entry_of(request, api.authorizers, "Authorizer")
    merged = {**authorizer, **sent}
    if "jwtConfiguration" in sent:
        merged["jwtConfiguration"] = {**authorizer["jwtConfiguration"], **sent["jwtConfiguration"]}
    _check(merged)
    authorizer |= merged
    redeploy(api)
    return answer(authorizer)


def delete_authorizer(request: Request) -> Response:
    api = api_of(request)
    id = entry_of(request, api.authorizers, "Authorizer")["authorizerId"]
    if any(route.get("authorizerId") == id for route in api.routes.values()):
        raise conflict(f"Cannot delete Authorizer '{id}' due to references from routes")
    del api.authorizers[id]
    return deleted()


def _check(authorizer: Json) -> None:
    if authorizer.get("authorizerType") != "JWT":
        raise ApiError("NotEmulated", "only JWT authorizers are emulated on the laptop")
    if not 1 <= len(authorizer.get("name", "")) <= 128:
        raise bad("The name of an authorizer has 1 to 128 characters")
    sources = authorizer.get("identitySource", [])
    if len(sources) != 1 or not SOURCE.fullmatch(sources[0]):
        raise bad("A JWT authorizer needs one IdentitySource, such as $request.header.Authorization")
    configuration = authorizer.get("jwtConfiguration", {})
    if not configuration.get("audience"):
        raise bad("A JWT authorizer needs at least one Audience")
    issuer = urlsplit(configuration.get("issuer", ""))
    # AWS asks the issuer for /.well-known/openid-configuration. An issuer on this machine may do without TLS.
    if issuer.scheme != "https" and not (issuer.scheme == "http" and issuer.hostname in THIS_MACHINE):
        raise bad("Invalid issuer: " + configuration.get("issuer", ""))
