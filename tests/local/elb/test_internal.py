"""Internal load balancers: on a port of their own, beside a public one with the same port."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from orderops.local.elb.authority import Authority
from orderops.local.elb.balancer import Balancers
from orderops.local.elb.routing import Listener, RoutingRule
from orderops.local.elb.targets import Targets
from orderops.local.ports import free_port, port_is_free
from support.laptop import until


@pytest.fixture
def balancers(tmp_path: Path) -> Iterator[Balancers]:
    balancers = Balancers(Targets(), Authority(tmp_path))
    yield balancers
    balancers.close()


def listener(port: int, name: str, *, internal: bool) -> Listener:
    action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": name}}
    return Listener(f"arn of {name}", name, port, (RoutingRule(1.0, (), (action,)),), internal=internal)


def answer(port: int | None) -> str:
    def ask() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
                return str(response.read().decode())
        except urllib.error.URLError:
            return ""

    return until(ask, what="an answer")


def test_both_answer_though_they_have_one_port(balancers: Balancers) -> None:
    port = free_port()

    problems = balancers.update([listener(port, "public", internal=False), listener(port, "inner", internal=True)])

    assert problems == {}
    assert answer(port) == "public"
    assert answer(balancers.inner_port("arn of inner")) == "inner"
    assert balancers.inner_port("arn of public") is None


def test_an_internal_one_alone_leaves_its_port_to_others(balancers: Balancers) -> None:
    port = free_port()
    balancers.update([listener(port, "inner", internal=True)])
    inner = balancers.inner_port("arn of inner")

    assert port_is_free(port)
    balancers.update([listener(port, "inner", internal=True)])
    assert balancers.inner_port("arn of inner") == inner
    balancers.update([])
    assert balancers.inner_port("arn of inner") is None
