"""What others need to know of an environment: its URL, that of its API or else of its load balancer, and outputs."""

from __future__ import annotations

from orderops.engine.resource import Outputs
from orderops.infra.domain import public_url
from orderops.infra.service import ServiceBase
from orderops.infra.stack import Stack


def service_url(stack: Stack, outputs: Outputs, service: str | None = None) -> str:
    """What callers open, or those of a service that has names of its own: the API where there is one, by its name."""
    for name in stack.listeners.names[:1]:
        if name in outputs:
            return str(outputs[name].properties["Url"])
    if stack.api and stack.api.api in outputs:
        return str(outputs[stack.api.api].properties["ApiEndpoint"])
    return load_balancer_url(stack, outputs, service)


def load_balancer_url(stack: Stack, outputs: Outputs, service: str | None = None) -> str:
    """Where the load balancer listens; an internal one is reached from inside the VPC only."""
    return public_url(stack.environment, outputs[stack.balancer].properties["DNSName"], service)


def outputs_of(stack: Stack, outputs: Outputs) -> dict[str, object]:
    """What other programs need to know of an environment. The keys are stable."""
    database = outputs[stack.database].properties
    services = {key: _service_outputs(stack, base, outputs) for key, base in stack.services.items()}
    return {
        "environment": stack.environment.name,
        "region": stack.environment.region,
        "load_balancer_url": load_balancer_url(stack, outputs),
        "api_url": service_url(stack, outputs) if stack.api else None,
        "api_names": _api_names(stack, outputs) if stack.api else None,
        "database_endpoint": database["EndpointAddress"],
        "database_port": database["EndpointPort"],
        "database_name": stack.environment.database.name,
        "database_secret_arn": database["MasterUserSecretArn"],
        "database_pointer_arn": outputs[stack.pointer].arn,
        "cluster": stack.cluster.name,
        "alarm_topic_arn": outputs[stack.topic].arn,
        "vpc": outputs[stack.network.vpc].id,
        **services[stack.environment.entries[0]],
        "services": services,
    }


def _api_names(stack: Stack, outputs: Outputs) -> dict[str, str]:
    """Each name of the API, and the name at API Gateway to which its record in the DNS leads."""
    return {name.name: str(outputs[name].properties["ApiGatewayDomainName"]) for name in stack.listeners.names}


def _service_outputs(stack: Stack, base: ServiceBase, outputs: Outputs) -> dict[str, object]:
    return {
        "service": stack.environment.service_name(base.key),
        "queue_url": outputs[base.queue].id,
        "dead_letter_queue_url": outputs[base.dead_letters].id,
        "repository_uri": outputs[base.repository].properties["RepositoryUri"],
        "log_group": base.log_group.name,
    }
