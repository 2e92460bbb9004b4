"""The environment dev with everything that a file can declare in front of it."""

from __future__ import annotations

from pathlib import Path

import boto3

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.engine.step import Action
from orderops.infra.apply import Apply
from orderops.infra.plan import make_plan
from orderops.infra.workspace import Workspace
from support.dev_accounts import IMAGES, REGION
from support.repository import ENVIRONMENTS

NAME = "orders.example.com"
DOMAIN = f"""
[domain]
name = "{NAME}"
zone = "example.com"
names = ["shop.example.com"]
hsts_seconds = 3600
"""
FIREWALL = """
[waf]
enabled = true
mode = "block"
trusted_cidrs = ["192.0.2.7/32"]
blocked_cidrs = ["203.0.113.0/24", "2001:db8::/32"]
blocked_countries = ["KP"]
managed_groups = ["common", "sql-injection", "bots"]
redacted_headers = ["cookie"]

[waf.exceptions.blocked-ranges]
paths = ["/orders*", "/import"]
reason = "partners"

[waf.exceptions.rate]
paths = ["/ready", "/health"]
reason = "monitors"

[waf.exceptions.SizeRestrictions_BODY]
paths = ["/orders*"]
reason = "large orders"

[waf.exceptions.NoUserAgent_HEADER]
reason = "scanners"
"""
API = """
[api]
type = "http"
balancer = "both"
authorization = "jwt"

[api.jwt]
issuer = "https://login.example.com/"
audience = ["orders"]

[api.routes."GET /orders"]
scopes = ["orders/read"]

[api.routes."GET /"]
authorization = "iam"
requests_per_second = 5
burst = 10
"""
REST_API = """
[api]
balancer = "both"
authorization = "none"
api_keys = true
validate_requests = true

[api.plan]
requests_per_second = 5
burst = 10
quota = 1000
period = "week"

[api.routes."GET /orders"]
authorization = "iam"
requests_per_second = 5
burst = 10

[api.routes."POST /orders"]
requests_per_second = 2
burst = 4
"""
BOARD = """
[board]
bucket = "orderops-dev-board-acme"
publish_every = "5m"
"""


def workspace_of(url: str, folder: Path, more: str = "") -> Workspace:
    """The environment dev with more in its file, in the account at a URL."""
    folder.mkdir(exist_ok=True)
    (folder / "dev.toml").write_text((ENVIRONMENTS / "dev.toml").read_text() + more)
    session = boto3.Session("testing", "testing", region_name=REGION)
    return Workspace(load_environment("dev", folder), Aws(REGION, endpoint_url=url, session=session))


def applied(workspace: Workspace) -> list[str]:
    """The addresses that an `up` changes, in the order in which it is done with them."""
    run = Apply(workspace, IMAGES, make_plan(workspace, images=IMAGES))
    steps = [*run.infra(), *run.release(), *run.names(), *run.narrow()]
    return [step.address for step in steps if step.action is not Action.NO_OP]
