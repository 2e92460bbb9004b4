"""Web and worker as two services on the laptop: one image, one queue, and a worker that ECS checks itself."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from support.laptop import until
from support.order_client import LaptopEnvironment, laptop_environment

# End to end.
pytestmark = pytest.mark.slow

WORKER = """role = "web"

[services.order-worker]
role = "worker"
works_for = "order-processor"

[services.order-processor.queue]"""
ORDER = {"customer": 1, "currency": "AUD", "items": [{"sku": "tea", "quantity": 2, "unit_price": 1250}]}


@pytest.fixture(scope="module")
def laptop() -> Iterator[LaptopEnvironment]:
    with laptop_environment(**{"[services.order-processor.queue]": WORKER}) as laptop:
        yield laptop


def components(laptop: LaptopEnvironment) -> dict[str, str]:
    found = laptop("status", "--json", fails=True).json["components"]
    return {component["name"]: component["state"] for component in found}


def placed(url: str, key: str) -> str:
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    request = urllib.request.Request(f"{url}/orders", json.dumps(ORDER).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return str(json.load(response)["href"])


def status_of(url: str, path: str) -> str:
    with urllib.request.urlopen(url + path, timeout=10) as response:
        return str(json.load(response)["status"])


def test_the_worker_writes_what_the_web_service_accepts(laptop: LaptopEnvironment) -> None:
    url = laptop("infra", "outputs", "--json").json["load_balancer_url"]

    paths = [placed(url, f"key-{number}") for number in range(5)]

    until(lambda: {status_of(url, path) for path in paths} == {"processed"}, what="the orders are written")
    assert components(laptop) == dict.fromkeys(
        (
            "database",
            "queue order-processor",
            "service order-processor",
            "service order-worker",
            "balancer",
            "readiness",
            "page",
            "alarms",
        ),
        "ok",
    )
    assert laptop("up", "--dry-run").code == 0


def test_a_release_of_the_service_is_one_of_its_worker(laptop: LaptopEnvironment) -> None:
    # The same service by another name, so that it is another image.
    laptop("service", "deploy", "--image", "process://orderops.service.__main__", "--bake", "2", "--yes")

    # What the next `up` takes back.
    steps = laptop("up", "--dry-run", "--json").json["steps"]
    images = {step["address"]: step["changes"].get("Image") for step in steps if step["action"] == "update"}
    definitions = [f"ecs-task-definition/orderops-local-order-{name}" for name in ("processor", "worker")]
    assert [images[address] for address in definitions] == [images[definitions[0]]] * 2
    assert "process://orderops.service.__main__" in str(images[definitions[0]])
    assert components(laptop)["service order-worker"] == "ok"


def test_a_worker_without_its_service_is_an_error_and_down_removes_both(laptop: LaptopEnvironment) -> None:
    file = laptop.folder / "environments" / "local.toml"
    text = file.read_text()
    file.write_text(text.replace('works_for = "order-processor"', 'works_for = "orders"'))
    checked = laptop("env", "check", "local", fails=True)
    file.write_text(text)

    assert checked.code == 2
    assert 'works_for: "orders": is no service of this file; services with a queue: order-processor' in checked.err

    laptop("down", "--yes")
    left = components(laptop)
    assert {left[f"service order-{name}"] for name in ("processor", "worker")} == {"absent"}
