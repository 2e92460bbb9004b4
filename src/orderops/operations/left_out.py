"""What is shown of the services that a plan of the infrastructure alone leaves out."""

from __future__ import annotations

from orderops.infra.left_out import ServicesLeftOut
from orderops.text.lists import joined
from orderops.ui import console


def show_services_left_out(environment: str, services: ServicesLeftOut) -> None:
    """Show what a plan of the infrastructure alone leaves out, and the command that shows it."""
    up = f"orderops up --dry-run --env {environment}"
    if services.changes:
        addresses = joined([step.address for step in services.changes], max_names=2)
        console.info_folded(f"services differ too: {addresses}; to see how: {up}")
    elif services.unreleased:
        console.info_folded(
            f"services are left out; not released yet: {joined(services.unreleased)}; to see them: {up}"
        )
    else:
        console.info_folded(f"services are left out, and run as declared; with a new image: {up}")
