"""What other AWS tools need to use the laptop environment."""

from __future__ import annotations

import os
import shlex
import urllib.request
from collections.abc import Mapping

from orderops.local.client import LocalEndpoint
from orderops.local.ports import HOST

# Variables that take precedence over those set here, or send requests elsewhere.
DISTURBING = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
)
# Version 1 of the AWS CLI has an address of its own for SQS, which only the option replaces. The inner `eval` is parsed
# after an alias of that name is gone.
AWS_COMMAND = (
    "unalias aws 2>/dev/null || true",
    """eval 'aws() { command aws ${AWS_ENDPOINT_URL:+"--endpoint-url=$AWS_ENDPOINT_URL"} "$@"; }'""",
)
SERVICE_ENDPOINTS = "AWS_ENDPOINT_URL_"


def tool_variables(endpoint: LocalEndpoint, environ: Mapping[str, str] = os.environ) -> dict[str, str | None]:
    """Return the variables by name; None for one that must not be set.

    `environ` is the environment in which they will be set.
    """
    services = [name for name in environ if name.startswith(SERVICE_ENDPOINTS)]
    return {
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_ACCESS_KEY_ID": endpoint.key.id,
        "AWS_SECRET_ACCESS_KEY": endpoint.key.secret,
        "AWS_REGION": endpoint.region,
        "AWS_DEFAULT_REGION": endpoint.region,
        **dict.fromkeys((*DISTURBING, *sorted(services))),
        **_past_the_proxy(),
    }


def shell_commands(variables: Mapping[str, str | None]) -> list[str]:
    """Return commands of a POSIX shell that set these variables, and let `aws` use them for every service."""
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items() if value is not None]
    unset = [shlex.quote(name) for name, value in variables.items() if value is None]
    return [*exports, f"unset {' '.join(unset)}", *AWS_COMMAND]


def _past_the_proxy() -> dict[str, str | None]:
    """Return what keeps requests from a proxy, which cannot reach this machine's loopback address."""
    proxies = urllib.request.getproxies_environment()
    if "http" not in proxies or urllib.request.proxy_bypass(HOST):
        return {}
    hosts = ",".join(host for host in (proxies.get("no", ""), HOST) if host)
    return {"NO_PROXY": hosts, "no_proxy": hosts}
