"""What a resource of each kind costs a month. Every kind has a formula, or a reason why it is free or unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from orderops.costs.database import instance, replica
from orderops.costs.line import Line, Priced
from orderops.costs.prices import HOURS
from orderops.costs.tasks import scaling, schedule, service

SECONDS = HOURS * 3600
FREE_RULES = 10
"""Rules of a load balancer whose evaluation counts nothing in an LCU."""
DAYS = 30

Formula = Callable[[Priced], Iterator[Line]]


def _nat(resource: Priced) -> Iterator[Line]:
    hour, data = resource.prices["nat"], resource.prices["nat-data"]
    yield resource.fixed(f"{HOURS} h x {hour.usd}", hour.month, hour)
    if resource.traffic is None:
        yield resource.used(f"data: {data}")
        return
    gb = resource.traffic.gb("nat_kb") / len(resource.of_kind("ec2-nat-gateway"))
    yield resource.used(f"{gb:.1f} GB x {data.usd}", gb * data.usd, data)


def _address(resource: Priced) -> Iterator[Line]:
    hour = resource.prices["address"]
    yield resource.fixed(f"public IPv4 address: {HOURS} h x {hour.usd}", hour.month, hour)


def _balancer(resource: Priced) -> Iterator[Line]:
    hour, address = resource.prices["balancer"], resource.prices["address"]
    yield resource.fixed(f"{HOURS} h x {hour.usd}", hour.month, hour)
    if resource.stated("Scheme") == "internet-facing":
        # It has a public address in each of its subnets. Their ids are not known before they exist, their number is.
        zones = len(resource.properties.get("Subnets") or resource.stated("Subnets"))
        usd = zones * address.month
        yield resource.fixed(f"{zones} public IPv4 addresses: {HOURS} h x {address.usd}", usd, address)
    lcu, out, traffic = resource.prices["lcu"], resource.prices["data-out"], resource.traffic
    if traffic is None:
        yield resource.used(f"load: {lcu.usd} USD an hour of an LCU; none while idle")
        yield resource.used(f"data out: {out}, the first {out.free} GB of an account are free")
        return
    units = _capacity_units(resource)
    yield resource.used(f"{HOURS} h x {units:.3f} LCU x {lcu.usd}", units * lcu.month, lcu)
    gb = traffic.gb("response_kb")
    charged = max(Decimal(0), gb - out.free)
    yield resource.used(f"data out: {charged:.1f} of {gb:.1f} GB x {out.usd}", charged * out.usd, out)


def _capacity_units(resource: Priced) -> Decimal:
    """The LCUs of traffic that is spread evenly over the month, each request on a connection of its own."""
    traffic = resource.traffic
    assert traffic is not None
    a_second = Decimal(traffic.requests) / SECONDS
    rules = max(0, len(resource.of_kind("elbv2-rule")) - FREE_RULES)
    return max(
        a_second / 25,
        a_second * traffic.assumptions["connection_seconds"] / 3000,
        traffic.gb("balancer_kb") / HOURS,
        a_second * rules / 1000,
    )


def _alarm(resource: Priced) -> Iterator[Line]:
    metrics = resource.properties.get("Metrics") or {}
    expressions = [metric["Expression"] for metric in metrics.values() if "Expression" in metric]
    if any(expression.startswith("ANOMALY_DETECTION_BAND") for expression in expressions):
        band = resource.prices["band-alarm"]
        yield resource.fixed("compared with a band", band.usd, band)
        return
    count = max(1, len(metrics) - len(expressions))
    periods = [metric["Period"] for metric in metrics.values() if "Period" in metric]
    quick = min([resource.properties.get("Period") or 60, *periods]) < 60
    price = resource.prices["quick-alarm" if quick else "alarm"]
    yield resource.fixed(f"{count} metric{'s' * (count > 1)} x {price.usd}", count * price.usd, price)


def _composite(resource: Priced) -> Iterator[Line]:
    price = resource.prices["composite-alarm"]
    yield resource.fixed("composite alarm", price.usd, price)


def _dashboard(resource: Priced) -> Iterator[Line]:
    price = resource.prices["dashboard"]
    yield resource.free(f"the first {price.free} of an account; each further one {price.usd} USD a month")


def _secret(resource: Priced) -> Iterator[Line]:
    price = resource.prices["secret"]
    yield resource.fixed("a secret, without its reads", price.usd, price)


def _cluster(resource: Priced) -> Iterator[Line]:
    metric = resource.prices["metric"]
    if resource.stated("containerInsights") == "disabled":
        yield resource.free("a cluster itself, with Fargate")
    else:
        yield resource.unknown(f"Container Insights: {metric.usd} USD a metric; their number grows with the tasks")


def _logs(resource: Priced) -> Iterator[Line]:
    into, kept, traffic = resource.prices["log-in"], resource.prices["log-kept"], resource.traffic
    groups = [group for group in resource.of_kind("logs-group") if not group.endswith("/flow-log")]
    if traffic is None or resource.address not in groups:
        yield resource.used(f"{into.usd} USD a GB written, {kept.usd} USD a GB kept for a month")
        return
    gb = traffic.gb("log_kb") / len(groups)
    months = Decimal(resource.stated("retentionInDays")) / DAYS
    amount = gb * into.usd + gb * months * kept.usd
    yield resource.used(f"{gb:.1f} GB x {into.usd} + {gb * months:.1f} GB kept x {kept.usd}", amount, into)


def _firewall(resource: Priced) -> Iterator[Line]:
    acl, rule, rules = resource.prices["waf-acl"], resource.prices["waf-rule"], resource.stated("Rules")
    yield resource.fixed(f"{acl.usd} + {len(rules)} rules x {rule.usd}", acl.usd + len(rules) * rule.usd, acl)
    yield _of_requests(resource, "waf-requests")
    if "bots" in rules:
        yield resource.unknown("the fee of the group against bots, and its price for each request")


def _api(resource: Priced) -> Iterator[Line]:
    yield _of_requests(resource, "http-api")


def _rest_api(resource: Priced) -> Iterator[Line]:
    yield _of_requests(resource, "rest-api")


def _of_requests(resource: Priced, item: str) -> Line:
    price, traffic = resource.prices[item], resource.traffic
    if traffic is None:
        return resource.used(f"requests: {price}")
    millions = Decimal(traffic.requests) / 1_000_000
    return resource.used(f"{millions.normalize():f} million requests x {price.usd}", millions * price.usd, price)


def _by_use(item: str, of: str) -> Formula:
    def formula(resource: Priced) -> Iterator[Line]:
        yield resource.used(f"{of}: {resource.prices[item]}")

    return formula


def _free(why: str) -> Formula:
    def formula(resource: Priced) -> Iterator[Line]:
        yield resource.free(why)

    return formula


NO_CHARGE = _free("no charge of its own")
WITH_THE_API = _free("charged with the requests to the API")
FORMULAS: Mapping[str, Formula] = {
    "acm-certificate": _free("public certificates cost nothing"),
    "apigateway-account": NO_CHARGE,
    "apigateway-rest-api": _rest_api,
    "apigateway-stage": WITH_THE_API,
    "apigateway-usage-plan": WITH_THE_API,
    "apigatewayv2-api": _api,
    "apigatewayv2-authorizer": WITH_THE_API,
    "apigatewayv2-domain-name": NO_CHARGE,
    "apigatewayv2-integration": WITH_THE_API,
    "apigatewayv2-mapping": NO_CHARGE,
    "apigatewayv2-route": WITH_THE_API,
    "apigatewayv2-stage": WITH_THE_API,
    "apigatewayv2-vpc-link": WITH_THE_API,
    "autoscaling-target": scaling,
    "cloudwatch-alarm": _alarm,
    "cloudwatch-anomaly-detector": _free("charged with the alarm that compares with it"),
    "cloudwatch-composite-alarm": _composite,
    "cloudwatch-dashboard": _dashboard,
    "ec2-address": _address,
    "ec2-flow-log": _free("charged with the log group that it writes to"),
    "ec2-internet-gateway": NO_CHARGE,
    "ec2-nat-gateway": _nat,
    "ec2-route-table": NO_CHARGE,
    "ec2-security-group": NO_CHARGE,
    "ec2-subnet": NO_CHARGE,
    "ec2-vpc": NO_CHARGE,
    "ecr-repository": _by_use("ecr", "images"),
    "ecs-cluster": _cluster,
    "ecs-service": service,
    "ecs-task-definition": _free("charged with the tasks that run it"),
    "elbv2-listener": _free("charged with the load balancer"),
    "elbv2-load-balancer": _balancer,
    "elbv2-rule": _free("charged with the load balancer"),
    "elbv2-target-group": _free("charged with the load balancer"),
    "iam-role": NO_CHARGE,
    "iam-service-linked-role": NO_CHARGE,
    "logs-group": _logs,
    "logs-service-group": _logs,
    "rds-blue-green-deployment": NO_CHARGE,  # its green instance is charged as an instance
    "rds-instance": instance,
    "rds-parameter-group": NO_CHARGE,
    "rds-read-replica": replica,
    "rds-subnet-group": NO_CHARGE,
    "route53-alias": _free("lookups of an alias of a load balancer or an API; its zone costs whoever has made that"),
    "s3-bucket": _by_use("s3", "objects"),
    "scheduler-group": NO_CHARGE,
    "scheduler-schedule": schedule,
    "secretsmanager-login": _secret,
    "secretsmanager-pointer": _secret,
    "secretsmanager-secret": _secret,
    "sns-subscription": _free("charged with the topic"),
    "sns-topic": _by_use("sns", "notifications; SMS is charged by country"),
    "sqs-queue": _free("charged by requests, see sqs-requests"),
    "wafv2-association": _free("charged with the web ACL"),
    "wafv2-ip-set": NO_CHARGE,
    "wafv2-logging": _free("charged with the log group that it writes to"),
    "wafv2-web-acl": _firewall,
}
