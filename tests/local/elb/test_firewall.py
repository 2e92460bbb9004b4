"""The firewall of the laptop: the rules of the file really refuse clients, or count them, and its log can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import httpx
import pytest

from orderops.aws.client import Aws
from orderops.config.environment import Environment, load_environment
from orderops.config.waf import ExceptionConfig, WafConfig
from orderops.engine.inventory import Inventory
from orderops.engine.reconcile import reconcile
from orderops.frozen import replace
from orderops.infra.firewall import acl_name, firewall_of, log_group_name
from orderops.infra.workspace import Workspace
from orderops.reports.firewall import FirewallReport, firewall_report
from orderops.resources.wafv2_association import Wafv2Association
from orderops.resources.wafv2_web_acl import Wafv2WebAcl
from support.declared_service import BALANCER
from support.emulated_account import QUICK
from support.laptop import Laptop, Stack, until
from support.repository import ENVIRONMENTS


class Guarded:
    """A load balancer that answers every request itself, behind the web ACL of an environment."""

    def __init__(self, laptop: Laptop) -> None:
        self.stack = Stack(laptop, desired=0)
        elb = laptop.client("elbv2")
        answer = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "ok"}}
        elb.modify_listener(ListenerArn=self.stack.listener, DefaultActions=[answer])
        key = laptop.endpoint.key
        session = boto3.Session(key.id, key.secret, region_name=Laptop.region)
        self.aws = Aws(Laptop.region, endpoint_url=laptop.endpoint.url, session=session)
        self.waf = laptop.client("wafv2")
        self.environment = self._environment()

    def declare(self, **keys: Any) -> None:
        """Apply these keys of [waf], and associate the ACL with the balancer."""
        self.environment = self._environment(**keys)
        resources = [one for one in firewall_of(self.environment, BALANCER) if not isinstance(one, Wafv2Association)]
        inventory = Inventory(self.aws, "dev", list(dict.fromkeys(type(one) for one in resources)))
        list(reconcile(resources, inventory, limits=replace(QUICK, trouble=timedelta(seconds=20))))
        [acl] = Wafv2WebAcl.listing(self.aws, inventory.ownership(next(o for o in resources if type(o) is Wafv2WebAcl)))
        balancer = self.stack.balancer["LoadBalancerArn"]

        def associated() -> bool:
            try:
                self.waf.associate_web_acl(WebACLArn=acl.arn, ResourceArn=balancer)
            except self.waf.exceptions.WAFUnavailableEntityException:
                return False
            return True

        until(associated, what="the balancer has the ACL")

    def ask(self, path: str = "/", address: str = "127.0.0.1", **request: Any) -> int:
        """Ask from an address of this machine; return the status."""
        transport = httpx.HTTPTransport(local_address=address, verify=False)  # loads no certificates
        with httpx.Client(transport=transport, trust_env=False) as client:
            method = "POST" if request else "GET"
            return client.request(method, f"http://127.0.0.1:{self.stack.port}{path}", **request).status_code

    def report(self) -> FirewallReport:
        return firewall_report(Workspace(self.environment, self.aws), datetime.now(UTC) - timedelta(hours=1))

    def _environment(self, **keys: Any) -> Environment:
        # A rule that no client of a test reaches would be another word for none.
        quiet = {"managed_groups": ["common"], "rate_limit": None}
        environment = load_environment("dev", ENVIRONMENTS)
        return environment.model_copy(update={"waf": WafConfig(enabled=True, **{**quiet, **keys})})


@pytest.fixture(scope="module")
def guarded(laptop: Laptop) -> Iterator[Guarded]:
    yield Guarded(laptop)


def becomes(status: int, ask: Callable[[], int]) -> None:
    until(lambda: ask() == status, what=f"the answer is {status}")


def chunks(size: int) -> Iterator[bytes]:
    """A body without a length."""
    for start in range(0, size, 1000):
        yield b"x" * min(1000, size - start)


def test_a_body_that_is_too_large_is_refused_with_or_without_its_length(guarded: Guarded) -> None:
    guarded.declare(mode="block", max_body_bytes=4096, exceptions={"body-size": excepted("/import*")})
    becomes(403, lambda: guarded.ask(content=b"x" * 4097))

    assert guarded.ask(content=b"x" * 4096) == 200
    assert guarded.ask(content=chunks(4096)) == 200
    assert guarded.ask(content=chunks(5000)) == 403
    # What WAF does not see to its end.
    assert guarded.ask(content=chunks(20_000)) == 403
    assert guarded.ask("/import/7", content=b"x" * 9000) == 200
    assert guarded.ask("/orders/import", content=b"x" * 9000) == 403


def excepted(*paths: str) -> ExceptionConfig:
    return ExceptionConfig(paths=list(paths), reason="a test")


def test_blocked_ranges_are_refused_and_trusted_ones_pass(guarded: Guarded) -> None:
    guarded.declare(mode="block", blocked_cidrs=["127.0.0.0/8"], trusted_cidrs=["127.0.0.3/32"])
    becomes(403, guarded.ask)

    assert guarded.ask(address="127.0.0.2") == 403
    assert guarded.ask(address="127.0.0.3") == 200
    # No rule judges what is trusted.
    assert guarded.ask(address="127.0.0.3", content=b"x" * 9000) == 200


def test_an_address_that_asks_too_often_is_refused_and_others_are_not(guarded: Guarded) -> None:
    guarded.declare(mode="block", rate_limit=10, rate_window_seconds=60, exceptions={"rate": excepted("/health")})
    # The rules of the test before block all of this machine.
    becomes(200, lambda: guarded.ask(address="127.0.0.10"))
    # Each try on its way to there counts.
    becomes(403, lambda: guarded.ask(address="127.0.0.4"))

    assert [guarded.ask(address="127.0.0.5") for _ in range(11)] == [200] * 10 + [403]
    assert [guarded.ask("/health", address="127.0.0.6") for _ in range(12)] == [200] * 12
    assert guarded.ask("/health", address="127.0.0.4") == 200


def test_what_only_aws_can_judge_is_neither_blocked_nor_counted(guarded: Guarded) -> None:
    guarded.declare(mode="block", managed_groups=["common", "sql-injection"], blocked_cidrs=["127.0.0.7/32"])
    becomes(403, lambda: guarded.ask(address="127.0.0.7"))
    attack = "/?id=1%27%20OR%20%271%27=%271"
    assert guarded.ask(attack) == 200

    # An address of no known country is blocked by AWS; of this machine's nobody knows whether it is.
    guarded.declare(mode="block", allowed_countries=["AU"], blocked_cidrs=["127.0.0.8/32"])
    becomes(403, lambda: guarded.ask(address="127.0.0.8"))
    assert guarded.ask() == 200


def test_while_it_counts_requests_pass_and_the_report_says_what_would_have_been_blocked(guarded: Guarded) -> None:
    guarded.declare(mode="count", max_body_bytes=100, blocked_cidrs=["127.0.0.9/32"])
    # The way there: as soon as the log has a first record, the rules count.
    until(lambda: guarded.ask("/warm", "127.0.0.9") == 200 and counted(guarded, "blocked-ranges-v4"), what="it counts")
    before = counted(guarded, "body-size")

    secret = {"authorization": "Bearer hidden"}
    assert [guarded.ask("/orders", content=b"x" * 101, headers=secret) for _ in range(3)] == [200] * 3
    until(lambda: counted(guarded, "body-size") == before + 3, what="the log has all of them")

    report = guarded.report()
    rule = next(hits for hits in report.rules if hits.rule == "body-size")
    assert (rule.group, rule.blocked) == ("", rule.blocked)
    assert rule.paths["/orders"] == 3
    assert rule.addresses["127.0.0.1", ""] >= 3
    assert report.would_block >= 4
    assert report.not_judged == ()  # dev is an environment on AWS
    events = guarded.aws.logs.filter_log_events(logGroupName=log_group_name(guarded.environment))["events"]
    assert "Bearer hidden" not in str(events)
    assert "REDACTED" in str(events)
    # Requests that no rule matched are not logged.
    assert "/silent" not in str(events)


def counted(guarded: Guarded, rule: str) -> int:
    return sum(hits.would_block for hits in guarded.report().rules if hits.rule == rule)


def test_without_the_acl_everything_passes_again(guarded: Guarded) -> None:
    guarded.declare(mode="block", blocked_cidrs=["127.0.0.0/8"])
    becomes(403, guarded.ask)

    guarded.waf.disassociate_web_acl(ResourceArn=guarded.stack.balancer["LoadBalancerArn"])

    becomes(200, guarded.ask)


def test_what_it_refuses_is_in_the_metrics_of_the_web_acl(guarded: Guarded, laptop: Laptop) -> None:
    guarded.declare(mode="block", blocked_cidrs=["127.0.0.0/8"])
    becomes(403, guarded.ask)
    cloudwatch = laptop.client("cloudwatch")

    def blocked() -> float:
        dimensions = {"Region": Laptop.region, "Rule": "ALL", "WebACL": acl_name(guarded.environment)}
        answer = cloudwatch.get_metric_statistics(
            Namespace="AWS/WAFV2",
            MetricName="BlockedRequests",
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=datetime.now(UTC) - timedelta(hours=1),
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
            Period=60,
            Statistics=["Sum"],
        )
        return float(sum(point["Sum"] for point in answer["Datapoints"]))

    before = blocked()
    assert [guarded.ask() for _ in range(5)] == [403] * 5

    assert blocked() == before + 5
