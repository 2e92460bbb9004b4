"""Look at what a release needs before it begins, and refuse one that cannot succeed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from orderops.engine.resource import Outputs
from orderops.errors import OrderopsError
from orderops.images.platform import why_unusable
from orderops.infra.workspace import Workspace
from orderops.releases.running import read_service
from orderops.releases.verify import free_addresses, secrets_without_value
from orderops.text.lists import joined

Problem = tuple[str, str]
"""What is wrong, and what to type."""


def check_release(workspace: Workspace, images: Mapping[str, str], outputs: Outputs) -> None:
    """Raise OrderopsError with all that would make these releases fail. `images` holds the image of each service."""
    with ThreadPoolExecutor(max(len(images), 1)) as pool:
        checked = pool.map(lambda service: list(_problems(workspace, service, images[service], outputs)), images)
        problems = [problem for found in checked for problem in found]
    if problems:
        lines = [message for message, _ in problems]
        hints = list(dict.fromkeys(hint for _, hint in problems))
        raise OrderopsError("\n".join(["the release would fail; nothing was changed", *lines]), "\n".join(hints))


def _problems(workspace: Workspace, service: str, image: str, outputs: Outputs) -> Iterator[Problem]:
    environment, base = workspace.environment, workspace.stack.services[service]
    if why := why_unusable(workspace.aws, image):
        yield f"{image} {why}", f"build it: orderops service build {service} --env {environment.name}"
    secrets = {secret.name: outputs[secret].arn for secret in base.secrets.values() if secret in outputs}
    if empty := list(secrets_without_value(workspace.aws, secrets)):
        set_value = f"aws secretsmanager put-secret-value --secret-id {empty[0]} --secret-string VALUE"
        yield f"{joined(empty, max_names=3)} has no value, so no task of {service} starts", f"set it: {set_value}"
    raw = read_service(workspace.aws, workspace.stack.cluster.name, environment.service_name(service))
    # ECS starts the new tasks beside the old ones (maximumPercent 200).
    wanted = int(raw.get("desiredCount") or base.declared.min_tasks)
    free = free_addresses(workspace.aws, [outputs[subnet].id for subnet in workspace.stack.network.private])
    if free < wanted:
        yield (
            f"the private subnets have {free} free addresses, and {service} starts {wanted} new tasks",
            f"fewer tasks meanwhile: orderops service scale {service} --tasks N --env {environment.name}",
        )
