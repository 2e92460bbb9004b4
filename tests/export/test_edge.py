"""The export of an environment with a name, a firewall and an API: every resource, in valid arguments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import hcl2
import pytest

from orderops.export import kinds
from orderops.export.configuration import Configuration, configuration_of
from orderops.export.part import Found, References
from orderops.infra.plan import make_plan
from orderops.infra.workspace import Workspace
from orderops.operations.export import configured, write_files
from orderops.resources.apigateway_keys import create_key, plan_of
from support.dev_accounts import REGION
from support.edge_environments import API, BOARD, DOMAIN, FIREWALL, REST_API, applied, workspace_of
from support.faulty_proxy import Proxy
from support.provider_arguments import ARGUMENTS, mistakes, planned, refused
from support.proxy_clients import client

pytest_plugins = ["support.dev_accounts"]
# End to end.
pytestmark = pytest.mark.slow

ACCOUNT = "123456789012"


NAMED_API = DOMAIN.replace("hsts_seconds = 3600\n", "") + API


@pytest.fixture(
    scope="module",
    params=[DOMAIN, API, REST_API + BOARD, NAMED_API],
    ids=["name", "api", "rest api", "name of the api"],
)
def made(
    request: pytest.FixtureRequest, account: Proxy, dev_released: bytes, tmp_path_factory: pytest.TempPathFactory
) -> tuple[bytes, Path]:
    """An account in which dev runs behind a firewall and more, and the folder of its file."""
    account.bring_back(dev_released)
    client(account, "route53").create_hosted_zone(Name="example.com", CallerReference="ours")
    folder = tmp_path_factory.mktemp("edge")
    workspace = workspace_of(account.url, folder, FIREWALL + request.param)
    assert len(applied(workspace)) > 10
    if "api_keys" in request.param:
        plan = plan_of(workspace.aws, "dev")
        assert plan
        create_key(workspace.aws, "dev", "shop", plan)
    return account.keep(), folder


@pytest.fixture
def edge(proxy: Proxy, made: tuple[bytes, Path]) -> Iterator[Workspace]:
    kept, folder = made
    proxy.bring_back(kept)
    text = (folder / "dev.toml").read_text()
    yield workspace_of(proxy.url, folder, text[text.index("\n[waf]") :])


def exported(workspace: Workspace) -> Configuration:
    planned = make_plan(workspace, running=True)
    return configured(workspace, planned.outputs)


def target_of(configuration: Configuration, kind: str) -> tuple[str, str]:
    """The target and the id for an import of the first part of a kind."""
    part = next(part for part in configuration.parts if part.address.startswith(f"{kind}/"))
    return part.target, part.import_id


def test_what_is_written_is_every_resource_of_the_plan(edge: Workspace) -> None:
    plan = make_plan(edge, running=True)

    configuration = exported(edge)

    assert not plan.differs
    assert {part.address for part in configuration.parts} == {step.address for step in plan.steps}
    assert configuration.left_out == {}
    assert configuration.missing == []
    targets = [part.target for part in configuration.parts]
    assert len(targets) == len(set(targets))


def test_a_binary_that_reads_it_finds_it_valid(edge: Workspace, tmp_path: Path) -> None:
    write_files(tmp_path, exported(edge).files(), force=False)

    assert refused(tmp_path) == []


def test_every_argument_is_one_of_the_provider(edge: Workspace) -> None:
    outputs = make_plan(edge, running=True).outputs
    found = [
        mistake
        for resource in edge.declared().values()
        for part in kinds.KINDS[resource.kind](Found(resource, outputs[resource], REGION, ACCOUNT, References()))
        for mistake in mistakes(part.type, {**part.body, "lifecycle": None}, ARGUMENTS[part.type])
    ]

    assert found == []


def test_an_independent_parser_finds_an_import_for_each_resource(edge: Workspace) -> None:
    parsed = [hcl2.loads(text) for name, text in exported(edge).files().items() if name.endswith(".tf")]

    resources = [entry for one in parsed for entry in one.get("resource", [])]
    assert len(resources) == len([one for file in parsed for one in file.get("import", [])]) > 80


def test_resources_refer_to_each_other(edge: Workspace) -> None:
    files = exported(edge).files()

    # The log and the association of the firewall are known by the ARN of another resource, and stand for none.
    assert "load_balancer_arn = aws_lb.orderops-dev-balancer.arn" in files["entrance.tf"]
    assert "resource_arn = aws_lb.orderops-dev-balancer.arn" in files["firewall.tf"]
    assert "resource_arn = aws_wafv2_web_acl.orderops-dev-firewall.arn" in files["firewall.tf"]
    assert "arn = aws_wafv2_ip_set.orderops-dev-blocked-v6.arn" in files["firewall.tf"]
    if "domain.tf" in files:
        assert "certificate_arn = aws_acm_certificate.orders_example_com_" in files["entrance.tf"]
        leads = "aws_lb.orderops-dev-balancer.dns_name"
        if "api.tf" in files:
            name = "aws_apigatewayv2_domain_name.orders_example_com"
            leads = f"{name}.domain_name_configuration[0].target_domain_name"
            assert f"domain_name = {name}.domain_name" in files["api.tf"]
            assert "api_id = aws_apigatewayv2_api.orderops-dev-api.id" in files["api.tf"]
        assert f"name = {leads}" in files["domain.tf"]
    if edge.environment.board.interval:
        assert "arn = aws_sqs_queue.orderops-dev-failed-schedules.arn" in files["access.tf"]
    if "rest_api.tf" in files:
        assert "resource_arn = aws_api_gateway_stage.orderops-dev-api_live.arn" in files["firewall.tf"]
        deployment = "aws_api_gateway_deployment.orderops-dev-api_live.id"
        assert f"deployment_id = {deployment}" in files["rest_api.tf"]
        assert "stage = aws_api_gateway_stage.orderops-dev-api_live.stage_name" in files["rest_api.tf"]
        assert "key_id = aws_api_gateway_api_key.orderops-dev-api_shop.id" in files["rest_api.tf"]
        assert "connectionId = aws_apigatewayv2_vpc_link.orderops-dev-api.id" in files["rest_api.tf"]
    elif "api.tf" in files:
        target = "integrations/${aws_apigatewayv2_integration.orderops-dev-api_services.id}"
        assert f'target = "{target}"' in files["api.tf"]
        assert "destination_arn = aws_cloudwatch_log_group.orderops_dev_api-access.arn" in files["api.tf"]


def test_imports_have_the_ids_that_the_provider_documents(edge: Workspace, proxy: Proxy) -> None:
    configuration = exported(edge)
    [acl] = client(proxy, "wafv2").list_web_acls(Scope="REGIONAL")["WebACLs"]
    [balancer] = client(proxy, "elbv2").describe_load_balancers(Names=["orderops-dev-balancer"])["LoadBalancers"]

    expected = {
        "wafv2-web-acl": ("aws_wafv2_web_acl.orderops-dev-firewall", f"{acl['Id']}/{acl['Name']}/REGIONAL"),
        "wafv2-logging": ("aws_wafv2_web_acl_logging_configuration.orderops-dev-firewall", acl["ARN"]),
        "wafv2-association": (
            "aws_wafv2_web_acl_association.orderops-dev-balancer",
            f"{acl['ARN']},{balancer['LoadBalancerArn']}",
        ),
    }
    if edge.environment.domain.name:
        [zone] = client(proxy, "route53").list_hosted_zones()["HostedZones"]
        zone_id = zone["Id"].rpartition("/")[2]
        expected["route53-alias"] = ("aws_route53_record.orders_example_com", f"{zone_id}_orders.example.com_A")
    if edge.environment.api.api_keys:
        rest = client(proxy, "apigateway")
        [api] = rest.get_rest_apis()["items"]
        [plan] = rest.get_usage_plans()["items"]
        expected["apigateway-account"] = ("aws_api_gateway_account.log-role", "api-gateway-account")
        expected["apigateway-rest-api"] = ("aws_api_gateway_rest_api.orderops-dev-api", api["id"])
        expected["apigateway-stage"] = ("aws_api_gateway_stage.orderops-dev-api_live", f"{api['id']}/live")
        expected["apigateway-usage-plan"] = ("aws_api_gateway_usage_plan.orderops-dev-api", plan["id"])
    elif edge.environment.api.declared:
        [api] = client(proxy, "apigatewayv2").get_apis()["Items"]
        if edge.environment.domain.name:
            [mapping] = client(proxy, "apigatewayv2").get_api_mappings(DomainName="orders.example.com")["Items"]
            expected["apigatewayv2-domain-name"] = (
                "aws_apigatewayv2_domain_name.orders_example_com",
                "orders.example.com",
            )
            expected["apigatewayv2-mapping"] = (
                "aws_apigatewayv2_api_mapping.orders_example_com",
                f"{mapping['ApiMappingId']}/orders.example.com",
            )
        stage = ("aws_apigatewayv2_stage.orderops-dev-api_default", f"{api['ApiId']}/$default")
        expected["apigatewayv2-stage"] = stage
        [route] = [
            route
            for route in client(proxy, "apigatewayv2").get_routes(ApiId=api["ApiId"])["Items"]
            if route["RouteKey"] == "GET /"
        ]
        expected["apigatewayv2-route"] = (
            "aws_apigatewayv2_route.orderops-dev-api_GET",
            f"{api['ApiId']}/{route['RouteId']}",
        )
    assert {kind: target_of(configuration, kind) for kind in expected} == expected


def test_the_parts_of_a_rest_api_have_the_ids_that_the_provider_documents(edge: Workspace, proxy: Proxy) -> None:
    if not edge.environment.api.api_keys:
        pytest.skip("it has no REST API")
    rest = client(proxy, "apigateway")
    [api] = rest.get_rest_apis()["items"]
    [stage] = rest.get_stages(restApiId=api["id"])["item"]
    [plan] = rest.get_usage_plans()["items"]
    [key] = rest.get_api_keys()["items"]

    written = defaultdict(set)
    for part in exported(edge).parts:
        written[part.target.partition(".")[0]].add(part.import_id)

    assert written["aws_api_gateway_deployment"] == {f"{api['id']}/{stage['deploymentId']}"}
    assert written["aws_api_gateway_method_settings"] == {
        f"{api['id']}/live/*/*",
        f"{api['id']}/live/orders/GET",
        f"{api['id']}/live/orders/POST",
    }
    assert written["aws_api_gateway_api_key"] == {key["id"]}
    assert written["aws_api_gateway_usage_plan_key"] == {f"{plan['id']}/{key['id']}"}


def test_a_plan_imports_every_part_of_a_rest_api_and_changes_nothing(
    edge: Workspace, proxy: Proxy, tmp_path: Path
) -> None:
    if not edge.environment.api.api_keys:
        pytest.skip("it has no REST API")
    outputs = make_plan(edge, running=True).outputs
    # With the keys. The other resources have services that the emulator has not every call of.
    configured(edge, outputs)
    mine = [one for one in edge.declared().values() if one.kind.startswith("apigateway-")]
    configuration = configuration_of("dev", mine, outputs, (REGION, ACCOUNT))
    write_files(tmp_path, configuration.files(), force=False)

    plan = planned(tmp_path, proxy.url, ["apigateway"])

    assert plan == "Plan: 10 to import, 0 to add, 0 to change, 0 to destroy."


def test_no_value_of_an_api_key_is_written(edge: Workspace, proxy: Proxy) -> None:
    values = [key["value"] for key in client(proxy, "apigateway").get_api_keys(includeValues=True)["items"]]

    text = "".join(exported(edge).files().values())

    assert [value for value in values if value in text] == []
    assert bool(values) is edge.environment.api.api_keys


def test_the_records_that_prove_the_names_are_imported_too(edge: Workspace, proxy: Proxy) -> None:
    if not edge.environment.domain.name:
        pytest.skip("it has no name")
    [zone] = client(proxy, "route53").list_hosted_zones()["HostedZones"]
    there = client(proxy, "route53").list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]

    written = {part.import_id for part in exported(edge).parts if part.target.startswith("aws_route53_record.")}

    zone_id = zone["Id"].rpartition("/")[2]
    ids = {f"{zone_id}_{one['Name'].rstrip('.')}_{one['Type']}" for one in there if one["Type"] not in ("NS", "SOA")}
    assert written == ids
    assert len(ids) == 4


@pytest.mark.parametrize("learning", [True, False])
def test_a_setting_of_bot_control_that_no_plan_compares_is_written_as_it_is(
    edge: Workspace, proxy: Proxy, learning: bool
) -> None:
    waf = client(proxy, "wafv2")
    [summary] = waf.list_web_acls(Scope="REGIONAL")["WebACLs"]
    where = {"Name": summary["Name"], "Scope": "REGIONAL", "Id": summary["Id"]}
    acl = waf.get_web_acl(**where)
    for rule in acl["WebACL"]["Rules"]:
        for settings in rule["Statement"].get("ManagedRuleGroupStatement", {}).get("ManagedRuleGroupConfigs", ()):
            settings["AWSManagedRulesBotControlRuleSet"]["EnableMachineLearning"] = learning
    kept = {key: acl["WebACL"][key] for key in ("DefaultAction", "VisibilityConfig", "Rules")}
    waf.update_web_acl(**where, LockToken=acl["LockToken"], **kept)

    text = exported(edge).files()["firewall.tf"]

    assert f"enable_machine_learning = {str(learning).lower()}" in text
