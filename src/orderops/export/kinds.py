"""The kinds of resources, what each becomes, and what has no equivalent."""

from __future__ import annotations

from collections.abc import Mapping

from orderops.export import access, api, data, domain, entrance, firewall, network, rest_api, services, watching
from orderops.export.part import Parts

KINDS: Mapping[str, Parts] = {
    "acm-certificate": domain.certificate,
    "apigateway-account": rest_api.account,
    "apigateway-rest-api": rest_api.api,
    "apigateway-stage": rest_api.stage,
    "apigateway-usage-plan": rest_api.usage_plan,
    "apigatewayv2-api": api.api,
    "apigatewayv2-authorizer": api.authorizer,
    "apigatewayv2-domain-name": api.domain_name,
    "apigatewayv2-integration": api.integration,
    "apigatewayv2-mapping": api.mapping,
    "apigatewayv2-route": api.route,
    "apigatewayv2-stage": api.stage,
    "apigatewayv2-vpc-link": api.vpc_link,
    "autoscaling-target": services.scaling,
    "cloudwatch-alarm": watching.alarm,
    "cloudwatch-composite-alarm": watching.composite_alarm,
    "cloudwatch-dashboard": watching.dashboard,
    "ec2-address": network.address,
    "ec2-flow-log": network.flow_log,
    "ec2-internet-gateway": network.internet_gateway,
    "ec2-nat-gateway": network.nat_gateway,
    "ec2-route-table": network.route_table,
    "ec2-security-group": network.security_group,
    "ec2-subnet": network.subnet,
    "ec2-vpc": network.vpc,
    "ecr-repository": services.repository,
    "ecs-cluster": services.cluster,
    "ecs-service": services.service,
    "ecs-task-definition": services.task_definition,
    "elbv2-listener": entrance.listener,
    "elbv2-load-balancer": entrance.load_balancer,
    "elbv2-rule": entrance.rule,
    "elbv2-target-group": entrance.target_group,
    "iam-role": access.role,
    "iam-service-linked-role": access.service_linked_role,
    "logs-group": watching.log_group,
    "logs-service-group": watching.log_group,
    "rds-instance": data.database,
    "rds-parameter-group": data.parameter_group,
    "rds-read-replica": data.replica,
    "rds-subnet-group": data.subnet_group,
    "route53-alias": domain.alias,
    "s3-bucket": access.bucket,
    "scheduler-group": access.schedule_group,
    "scheduler-schedule": access.schedule,
    "secretsmanager-login": data.secret,
    "secretsmanager-pointer": data.secret,
    "secretsmanager-secret": data.secret,
    "sns-topic": watching.topic,
    "sqs-queue": data.queue,
    "wafv2-association": firewall.association,
    "wafv2-ip-set": firewall.ip_set,
    "wafv2-logging": firewall.logging,
    "wafv2-web-acl": firewall.web_acl,
}
NO_EQUIVALENT: Mapping[str, str] = {
    "cloudwatch-anomaly-detector": "the AWS provider has no resource for it; CloudWatch keeps it without one",
}
"""Kinds that are not written, with the reason."""
KNOWN_BY_ANOTHER = frozenset({"apigateway-account", "wafv2-association", "wafv2-logging"})
"""Kinds without an id of their own: theirs is the ARN of another resource."""
SECRET = "the plan shows recovery_window_in_days and force_overwrite_replica_secret, which AWS does not keep"
LEFT_OUT: Mapping[str, str] = {
    "apigateway-account": "the role orderops-ApiGatewayLogs: all environments of the account share it, so it is named "
    "by its ARN; keep this resource in the configuration of one environment",
    "apigateway-rest-api": "body: it is ignored, since an import does not read it; to change the definition, take "
    "the body out of ignore_changes, then replace the deployment with -replace=ADDRESS, since callers reach its copy",
    "apigateway-stage": "deployments before the present one; they stay in AWS",
    "apigateway-usage-plan": "the values of API keys: none is written, but the import reads them into the state, so "
    "keep that as secret as the keys",
    "acm-certificate": "aws_acm_certificate_validation: it is nothing in AWS and cannot be imported; records in a "
    "zone elsewhere stay as they are",
    "wafv2-web-acl": "what was set by hand besides rules, such as captcha times and inspected body sizes",
    "sns-topic": "subscriptions: the path of a paging URL is a secret key, so none is written; they stay in SNS",
    "secretsmanager-login": "the value and its rotation: no secret value is written; " + SECRET,
    "secretsmanager-pointer": "the value: the services read it, and it stays as it is; " + SECRET,
    "secretsmanager-secret": "the value: no secret value is written; " + SECRET,
    "rds-instance": "the plan shows skip_final_snapshot, final_snapshot_identifier, apply_immediately and "
    "manage_master_user_password, which an import does not read; after it, shorten engine_version to the major, "
    "since RDS upgrades the minor version",
    "rds-parameter-group": "apply_method: the plan may show pending-reboot for immediate, which changes nothing",
    "ecs-service": "the plan may show wait_for_steady_state; version 5 of the provider does not know "
    "the threshold of the circuit breaker, nor strategies",
    "elbv2-target-group": "port: it is ignored, since another one would replace the group",
    "iam-role": "description: it is ignored",
    "sqs-queue": "max_message_size: it is ignored, since version 5 of the provider has an older limit as its default",
}
"""What is not written of a kind, or will still differ, with the reason."""
