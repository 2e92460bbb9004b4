"""Judge requests to a stage by its web ACL, which API Gateway does before it looks at anything else."""

from __future__ import annotations

import time

from starlette.requests import Request

from orderops.local.apigateway.account import ServedApi
from orderops.local.elb.firewall import Firewall, WebRequest
from orderops.local.ports import HOST


async def lets_in(firewall: Firewall, api: ServedApi, request: Request) -> bool:
    """Tell whether the web ACL of an API lets a request in; true without one.

    WAF compares the path as it was sent: with the stage, unless it came by a domain name.
    """
    acl = firewall.acls.get(f"{api.id}/{api.stage}")
    if acl is None:
        return True
    seen = WebRequest(
        address=request.client.host if request.client else HOST,
        method=request.method,
        path=request.scope["raw_path"].decode("latin-1"),
        query=request.scope["query_string"].decode("latin-1"),
        version=request.scope["http_version"],
        headers=tuple(request.headers.items()),
        body_size=min(len(await request.body()), acl.seen + 1) if acl.sees_bodies else 0,
    )
    return firewall.lets_in(acl, seen, time.time())
