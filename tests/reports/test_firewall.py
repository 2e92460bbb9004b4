"""The report on the firewall: what the log of AWS WAF says about each rule."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.errors import OrderopsError
from orderops.infra.workspace import Workspace
from orderops.reports.firewall import FirewallReport, firewall_report
from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS

GROUP = "aws-waf-logs-orderops-dev-firewall"
HOUR_AGO = datetime.now(UTC) - timedelta(hours=1)
COMMON = "AWS#AWSManagedRulesCommonRuleSet"
Log = Callable[..., None]


def record(**fields: Any) -> dict[str, Any]:
    """A record as the developer guide shows them: a request that passed."""
    request = {
        "clientIp": fields.pop("address", "203.0.113.9"),
        "country": fields.pop("country", "AU"),
        "uri": fields.pop("uri", "/orders"),
        "args": "",
        "httpMethod": "POST",
        "headers": fields.pop("headers", []),
    }
    base = {
        "action": "ALLOW",
        "terminatingRuleId": "Default_Action",
        "terminatingRuleType": "REGULAR",
        "ruleGroupList": [],
        "nonTerminatingMatchingRules": [],
        "httpRequest": request,
    }
    return {**base, **fields}


def counts(*rules: str) -> dict[str, Any]:
    return {"nonTerminatingMatchingRules": [{"ruleId": rule, "action": "COUNT"} for rule in rules]}


def within(group: str = COMMON, **members: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "ruleGroupId": group,
        "terminatingRule": None,
        "nonTerminatingMatchingRules": [],
        "excludedRules": None,
    }
    return {"ruleGroupList": [{**base, **members}]}


def overridden(rule: str, action: str | None = "BLOCK") -> dict[str, Any]:
    found = {"ruleId": rule, "action": "COUNT", **({"overriddenAction": action} if action else {})}
    return within(nonTerminatingMatchingRules=[found])


@pytest.fixture
def log(aws: Aws) -> Log:
    """`log(record, ...)`: write records as WAF does."""
    aws.logs.create_log_group(logGroupName=GROUP)
    aws.logs.create_log_stream(logGroupName=GROUP, logStreamName="ap-southeast-2_orderops-dev-firewall_0")

    def write(*records: dict[str, Any] | str, ago: float = 60) -> None:
        moment = int((time.time() - ago) * 1000)
        texts = [one if isinstance(one, str) else json.dumps(one) for one in records]
        aws.logs.put_log_events(
            logGroupName=GROUP,
            logStreamName="ap-southeast-2_orderops-dev-firewall_0",
            logEvents=[{"timestamp": moment, "message": text} for text in texts],
        )

    return write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    declare(tmp_path)
    return tmp_path


def declare(folder: Path, lines: str = "") -> None:
    text = (ENVIRONMENTS / "dev.toml").read_text()
    (folder / "dev.toml").write_text(f"{text}\n[waf]\nenabled = true\n{lines}\n")


def report(aws: Aws, folder: Path) -> FirewallReport:
    return firewall_report(Workspace(load_environment("dev", folder), aws), HOUR_AGO)


def found(aws: Aws, folder: Path) -> dict[str, tuple[int, int]]:
    return {hits.rule: (hits.would_block, hits.blocked) for hits in report(aws, folder).rules}


@pytest.mark.parametrize(
    ("source", "uri", "path"),
    [
        ("APIGW", "/live/orders", "/orders"),
        ("APIGW", "/live", "/"),
        # By a name of one's own, an API has no stage in front.
        ("APIGW", "/orders", "/orders"),
        ("APIGW", "/lively", "/lively"),
        ("ALB", "/live/orders", "/live/orders"),
    ],
)
def test_paths_are_those_that_exceptions_name(
    aws: Aws, log: Log, folder: Path, source: str, uri: str, path: str
) -> None:
    log(record(uri=uri, httpSourceName=source, **counts("rate")))

    [hits] = report(aws, folder).rules
    assert dict(hits.paths) == {path: 1}


@pytest.mark.parametrize(
    ("written", "rules"),
    [
        (record(), {}),
        (record(**counts("rate")), {"rate": (1, 0)}),
        (record(**counts("rate", "body-size")), {"rate": (1, 0), "body-size": (1, 0)}),
        (record(**overridden("SizeRestrictions_BODY")), {"SizeRestrictions_BODY": (1, 0)}),
        # Records of some years ago do not say what the action would have been.
        (record(**overridden("SizeRestrictions_BODY", None)), {"SizeRestrictions_BODY": (1, 0)}),
        (record(**overridden("CategoryAI", "CAPTCHA")), {"CategoryAI": (1, 0)}),
        # AWS made it count.
        (record(**overridden("AWSManagedIPDDoSList", "COUNT")), {}),
        (
            record(**within(excludedRules=[{"ruleId": "GenericRFI_BODY", "exclusionType": "EXCLUDED_AS_COUNT"}])),
            {"GenericRFI_BODY": (1, 0)},
        ),
        # A rule that AWS has added since: the group as a whole counts.
        (
            record(**counts("common"), **within(terminatingRule={"ruleId": "NewRule_BODY", "action": "BLOCK"})),
            {"NewRule_BODY": (1, 0)},
        ),
        (record(action="BLOCK", terminatingRuleId="rate"), {"rate": (0, 1)}),
        (
            record(
                action="BLOCK",
                terminatingRuleId="common",
                **within(terminatingRule={"ruleId": "NoUserAgent_HEADER", "action": "BLOCK"}),
            ),
            {"NoUserAgent_HEADER": (0, 1)},
        ),
        (
            record(action="BLOCK", terminatingRuleId="outside-exceptions-SizeRestrictions_BODY"),
            {"SizeRestrictions_BODY": (0, 1)},
        ),
        # What blocked it is the fact; what only counted before is not another one.
        (record(action="BLOCK", terminatingRuleId="rate", **counts("countries")), {"rate": (0, 1)}),
    ],
)
def test_a_record_is_read_as_aws_documents_it(
    aws: Aws, log: Log, folder: Path, written: dict[str, Any], rules: dict[str, tuple[int, int]]
) -> None:
    log(written)

    assert found(aws, folder) == rules


def test_a_request_that_two_rules_matched_is_one_request(aws: Aws, log: Log, folder: Path) -> None:
    log(record(**counts("rate", "body-size")), record(**counts("rate")), record(action="BLOCK", terminatingRuleId="x"))

    document = report(aws, folder).to_dict()

    assert (document["would_block"], document["blocked"], document["complete"]) == (2, 1, True)
    assert [rule["rule"] for rule in document["rules"]] == ["rate", "body-size", "x"]


def test_what_is_excepted_is_not_said_to_be_blocked(aws: Aws, log: Log, folder: Path) -> None:
    lines = (
        '[waf.exceptions.SizeRestrictions_BODY]\nreason = "x"\npaths = ["/orders"]\n'
        '[waf.exceptions.GenericRFI_BODY]\nreason = "x"\n[waf.exceptions.rate]\nreason = "x"\n'
        '[waf.exceptions.body-size]\nreason = "x"\npaths = ["/import"]'
    )
    declare(folder, lines)
    log(
        # On the excepted path, and on another one, which the rule of ours behind it tells.
        record(**overridden("SizeRestrictions_BODY")),
        record(uri="/x", **overridden("SizeRestrictions_BODY"), **counts("outside-exceptions-SizeRestrictions_BODY")),
        record(**overridden("GenericRFI_BODY")),
        record(**counts("rate")),
        # A rule of ours does not match on its excepted paths.
        record(**counts("body-size")),
    )

    assert found(aws, folder) == {"SizeRestrictions_BODY": (1, 0), "body-size": (1, 0)}
    assert dict(report(aws, folder).rules[0].paths) == {"/x": 1}


def test_paths_and_addresses_are_counted_for_each_rule(aws: Aws, log: Log, folder: Path) -> None:
    log(
        record(**counts("rate")),
        record(**counts("rate"), uri="/users"),
        record(**counts("rate"), address="2001:db8::1", country="-"),
    )

    [rule] = report(aws, folder).to_dict()["rules"]

    assert rule["group"] is None
    assert rule["paths"] == [{"path": "/orders", "requests": 2}, {"path": "/users", "requests": 1}]
    assert rule["addresses"] == [
        {"address": "203.0.113.9", "country": "AU", "requests": 2},
        {"address": "2001:db8::1", "country": None, "requests": 1},
    ]


def test_behind_an_api_the_addresses_are_those_of_callers(aws: Aws, log: Log, folder: Path) -> None:
    file = folder / "dev.toml"
    file.write_text(file.read_text() + '\n[api]\ntype = "http"\n')
    headers = [{"name": "x-client-ip", "value": "198.51.100.4"}]
    log(record(**counts("rate"), headers=headers, address="10.0.1.7", country="-"))

    assert dict(report(aws, folder).rules[0].addresses) == {("198.51.100.4", ""): 1}


def test_a_header_that_clients_write_themselves_is_not_believed(aws: Aws, log: Log, folder: Path) -> None:
    log(record(**counts("rate"), headers=[{"name": "x-client-ip", "value": "198.51.100.4"}]))

    assert dict(report(aws, folder).rules[0].addresses) == {("203.0.113.9", "AU"): 1}


def test_older_records_and_lines_of_others_are_left_out(aws: Aws, log: Log, folder: Path) -> None:
    log(record(**counts("rate")), ago=40_000)
    log("hello", "[1]", '{"httpRequest": 1}', record(**counts("rate")))

    assert found(aws, folder) == {"rate": (1, 0)}


def test_without_a_firewall_or_its_log_the_report_says_what_to_do(aws: Aws, folder: Path) -> None:
    with pytest.raises(OrderopsError, match=f"the log group {GROUP} does not exist") as refused:
        report(aws, folder)
    assert "infra apply" in refused.value.hint
    with pytest.raises(OrderopsError, match="dev has no web ACL") as refused:
        report(aws, ENVIRONMENTS)
    assert "enabled = true in the table [waf]" in refused.value.hint


@pytest.fixture
def ask(proxy: Proxy, client: Callable[[str], Any], capsys: pytest.CaptureFixture[str], folder: Path) -> Any:
    logs = client("logs")
    logs.create_log_group(logGroupName=GROUP)
    logs.create_log_stream(logGroupName=GROUP, logStreamName="s")
    written = [record(**overridden("SizeRestrictions_BODY"))] * 2 + [record(**counts("rate"), uri="/users")]
    moment = int(time.time() * 1000) - 60_000
    events = [{"timestamp": moment, "message": json.dumps(one)} for one in written]
    logs.put_log_events(logGroupName=GROUP, logStreamName="s", logEvents=events)

    def run(*options: str) -> Any:
        return Orderops(capsys)("waf", "report", "--env", "dev", "--environments", str(folder), *options)

    return run


def test_the_command_shows_rules_and_the_lines_for_the_file(ask: Any, folder: Path) -> None:
    said = ask()

    assert said.code == 0
    assert "3 requests would have been blocked, 0 blocked" in said.out
    assert "SizeRestrictions_BODY of common: 2 counted" in said.out
    assert "2 on /orders" in said.out
    assert "2 from 203.0.113.9 (AU)" in said.out
    assert "[waf.exceptions.SizeRestrictions_BODY]" in said.err
    assert 'paths = ["/orders"]' in said.err
    assert 'mode = "block" in [waf], then: orderops up --env dev' in said.err
    # The lines are taken as they are.
    shown = [line.strip() for line in said.err.splitlines()]
    start = shown.index("[waf.exceptions.SizeRestrictions_BODY]")
    declare(folder, "\n".join(shown[start : start + 3]))
    assert load_environment("dev", folder).waf.exceptions["SizeRestrictions_BODY"].paths == ["/orders"]


def test_a_shorter_time_has_fewer_records_and_json_has_stable_keys(ask: Any) -> None:
    assert "0 requests would have been blocked" in ask("--since", "30s").out

    document = ask("--json").json
    assert set(document) == {
        "environment",
        "mode",
        "since",
        "log_group",
        "would_block",
        "blocked",
        "complete",
        "not_judged",
        "rules",
    }
    assert (document["mode"], document["would_block"], document["log_group"]) == ("count", 3, GROUP)
