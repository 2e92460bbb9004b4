"""Which calls change a resource of each kind, and where their parameters name it. Data; calls nothing.

The names of calls and parameters are those of AWS's API references, as CloudTrail writes them: the first letter small,
and in EC2 a list as `…Set.items`.
"""

from __future__ import annotations

from collections.abc import Mapping

from orderops.frozen import Frozen

ALL = "*"
"""In `Setter.sets`: every property but the tags."""
TAGS = "Tags"


class Setter(Frozen):
    """A call that changes a resource: the path of the parameter that names it, and the properties that it sets.

    Without `sets`, the call sets the properties that its parameters name.
    """

    event: str
    path: str
    sets: tuple[str, ...] = ()
    deletes: bool = False


def _deletes(event: str, path: str) -> Setter:
    return Setter(event, path, deletes=True)


def _ec2_tags(*events: str) -> tuple[Setter, ...]:
    return tuple(Setter(event, "resourcesSet.items.resourceId", (TAGS,)) for event in events)


def _tags(path: str, *events: str) -> tuple[Setter, ...]:
    return tuple(Setter(event, path, (TAGS,)) for event in events)


EC2_TAGS = _ec2_tags("DeleteTags", "CreateTags")
ELB_TAGS = _tags("resourceArns", "RemoveTags", "AddTags")
RDS_TAGS = _tags("resourceName", "RemoveTagsFromResource", "AddTagsToResource")
TAG_CALLS = ("UntagResource", "TagResource")
SECRET = (
    Setter("PutSecretValue", "secretId", ("SecretString",)),
    Setter("UpdateSecret", "secretId", (ALL,)),
    _deletes("DeleteSecret", "secretId"),
    *_tags("secretId", *TAG_CALLS),
)
INSTANCE = "dBInstanceIdentifier"

SETTERS: Mapping[str, tuple[Setter, ...]] = {
    "acm-certificate": (
        # The records that prove the names are in Route 53, and no call of ACM changes them.
        _deletes("DeleteCertificate", "certificateArn"),
        *_tags("certificateArn", "RemoveTagsFromCertificate", "AddTagsToCertificate"),
    ),
    "apigateway-account": (Setter("UpdateAccount", "patchOperations", (ALL,)),),
    "apigateway-rest-api": (
        Setter("PutRestApi", "restApiId", ("Integration", "Routes", "Version", "Name")),
        Setter("UpdateRestApi", "restApiId", (ALL,)),
        _deletes("DeleteRestApi", "restApiId"),
        *_tags("resourceArn", *TAG_CALLS),
    ),
    "apigateway-stage": (
        Setter("CreateDeployment", "restApiId", ("Deployment",)),
        Setter("UpdateStage", "restApiId", (ALL,)),
        _deletes("DeleteStage", "restApiId"),
    ),
    "apigateway-usage-plan": (
        Setter("UpdateUsagePlan", "usagePlanId", (ALL,)),
        _deletes("DeleteUsagePlan", "usagePlanId"),
        *_tags("resourceArn", *TAG_CALLS),
    ),
    "apigatewayv2-api": (
        Setter("UpdateApi", "apiId", (ALL,)),
        _deletes("DeleteApi", "apiId"),
        *_tags("resourceArn", *TAG_CALLS),
    ),
    "apigatewayv2-authorizer": (
        Setter("UpdateAuthorizer", "authorizerId", (ALL,)),
        _deletes("DeleteAuthorizer", "authorizerId"),
    ),
    "apigatewayv2-domain-name": (
        Setter("UpdateDomainName", "domainName", (ALL,)),
        _deletes("DeleteDomainName", "domainName"),
        *_tags("resourceArn", *TAG_CALLS),
    ),
    "apigatewayv2-integration": (
        Setter("UpdateIntegration", "integrationId", (ALL,)),
        _deletes("DeleteIntegration", "integrationId"),
    ),
    "apigatewayv2-mapping": (
        Setter("UpdateApiMapping", "apiMappingId", (ALL,)),
        _deletes("DeleteApiMapping", "apiMappingId"),
    ),
    "apigatewayv2-route": (Setter("UpdateRoute", "routeId", (ALL,)), _deletes("DeleteRoute", "routeId")),
    "apigatewayv2-stage": (
        Setter("UpdateStage", "apiId", (ALL,)),
        Setter("DeleteRouteSettings", "apiId", ("RouteSettings",)),
        Setter("DeleteAccessLogSettings", "apiId", ("AccessLogSettings",)),
        _deletes("DeleteStage", "apiId"),
        *_tags("resourceArn", *TAG_CALLS),
    ),
    "apigatewayv2-vpc-link": (
        Setter("UpdateVpcLink", "vpcLinkId", (ALL,)),
        _deletes("DeleteVpcLink", "vpcLinkId"),
        *_tags("resourceArn", *TAG_CALLS),
    ),
    "autoscaling-target": (
        Setter("RegisterScalableTarget", "resourceId"),
        Setter("PutScalingPolicy", "resourceId", ("CpuPercent", "BacklogPerTask")),
        Setter("DeleteScalingPolicy", "resourceId", ("CpuPercent", "BacklogPerTask")),
        _deletes("DeregisterScalableTarget", "resourceId"),
    ),
    "cloudwatch-alarm": (
        Setter("PutMetricAlarm", "alarmName", (ALL,)),
        Setter("DisableAlarmActions", "alarmNames", ("ActionsEnabled",)),
        Setter("EnableAlarmActions", "alarmNames", ("ActionsEnabled",)),
        _deletes("DeleteAlarms", "alarmNames"),
        *_tags("resourceARN", *TAG_CALLS),
    ),
    "cloudwatch-anomaly-detector": (
        Setter("PutAnomalyDetector", "singleMetricAnomalyDetector.dimensions.value", (ALL,)),
        _deletes("DeleteAnomalyDetector", "singleMetricAnomalyDetector.dimensions.value"),
    ),
    "cloudwatch-composite-alarm": (
        Setter("PutCompositeAlarm", "alarmName", (ALL,)),
        Setter("DisableAlarmActions", "alarmNames", ("ActionsEnabled",)),
        Setter("EnableAlarmActions", "alarmNames", ("ActionsEnabled",)),
        _deletes("DeleteAlarms", "alarmNames"),
        *_tags("resourceARN", *TAG_CALLS),
    ),
    "cloudwatch-dashboard": (
        Setter("PutDashboard", "dashboardName", (ALL,)),
        _deletes("DeleteDashboards", "dashboardNames"),
        *_tags("resourceARN", *TAG_CALLS),
    ),
    "ec2-address": (_deletes("ReleaseAddress", "allocationId"), *EC2_TAGS),
    "ec2-flow-log": (_deletes("DeleteFlowLogs", "DeleteFlowLogsRequest.FlowLogId.content"), *EC2_TAGS),
    "ec2-internet-gateway": (
        Setter("DetachInternetGateway", "internetGatewayId", ("VpcId",)),
        Setter("AttachInternetGateway", "internetGatewayId", ("VpcId",)),
        _deletes("DeleteInternetGateway", "internetGatewayId"),
        *EC2_TAGS,
    ),
    "ec2-nat-gateway": (_deletes("DeleteNatGateway", "DeleteNatGatewayRequest.NatGatewayId"), *EC2_TAGS),
    "ec2-route-table": (
        *(Setter(f"{verb}Route", "routeTableId", ("Routes",)) for verb in ("Delete", "Replace", "Create")),
        Setter("AssociateRouteTable", "routeTableId", ("Associations",)),
        Setter("ReplaceRouteTableAssociation", "routeTableId", ("Associations",)),
        _deletes("DeleteRouteTable", "routeTableId"),
        *EC2_TAGS,
    ),
    "ec2-security-group": (
        *(Setter(f"{verb}SecurityGroupIngress", "groupId", ("Ingress",)) for verb in ("Authorize", "Revoke")),
        *(Setter(f"{verb}SecurityGroupEgress", "groupId", ("Egress",)) for verb in ("Authorize", "Revoke")),
        Setter("ModifySecurityGroupRules", "ModifySecurityGroupRulesRequest.GroupId", ("Ingress", "Egress")),
        _deletes("DeleteSecurityGroup", "groupId"),
        *EC2_TAGS,
    ),
    "ec2-subnet": (
        Setter("ModifySubnetAttribute", "subnetId", (ALL,)),
        _deletes("DeleteSubnet", "subnetId"),
        *EC2_TAGS,
    ),
    "ec2-vpc": (Setter("ModifyVpcAttribute", "vpcId", (ALL,)), _deletes("DeleteVpc", "vpcId"), *EC2_TAGS),
    "ecr-repository": (
        Setter("PutImageTagMutability", "repositoryName", ("ImageTagMutability",)),
        Setter("PutImageScanningConfiguration", "repositoryName", ("ScanOnPush",)),
        Setter("PutLifecyclePolicy", "repositoryName", ("LifecyclePolicy",)),
        Setter("DeleteLifecyclePolicy", "repositoryName", ("LifecyclePolicy",)),
        _deletes("DeleteRepository", "repositoryName"),
        *_tags("resourceArn", *TAG_CALLS),
    ),
    "ecs-cluster": (
        Setter("UpdateClusterSettings", "cluster", (ALL,)),
        Setter("UpdateCluster", "cluster", (ALL,)),
        _deletes("DeleteCluster", "cluster"),
        *_tags("resourceArn", *TAG_CALLS),
    ),
    "ecs-service": (
        Setter("UpdateService", "service"),
        _deletes("DeleteService", "service"),
        *_tags("resourceArn", *TAG_CALLS),
    ),
    "ecs-task-definition": (
        Setter("RegisterTaskDefinition", "family", (ALL,)),
        Setter("DeregisterTaskDefinition", "taskDefinition", (ALL,)),
        _deletes("DeregisterTaskDefinition", "taskDefinition"),
        *_tags("resourceArn", *TAG_CALLS),
    ),
    "elbv2-listener": (
        Setter(
            "ModifyListenerAttributes", "listenerArn", ("routing.http.response.strict_transport_security.header_value",)
        ),
        Setter("ModifyListener", "listenerArn", (ALL,)),
        _deletes("DeleteListener", "listenerArn"),
        *ELB_TAGS,
    ),
    "elbv2-load-balancer": (
        Setter("SetSecurityGroups", "loadBalancerArn", ("SecurityGroups",)),
        Setter("SetSubnets", "loadBalancerArn", ("Subnets",)),
        Setter("ModifyLoadBalancerAttributes", "loadBalancerArn", (ALL,)),
        _deletes("DeleteLoadBalancer", "loadBalancerArn"),
        *ELB_TAGS,
    ),
    "elbv2-rule": (
        Setter("SetRulePriorities", "rulePriorities.ruleArn", ("Priority",)),
        Setter("ModifyRule", "ruleArn", (ALL,)),
        _deletes("DeleteRule", "ruleArn"),
        *ELB_TAGS,
    ),
    "elbv2-target-group": (
        Setter("ModifyTargetGroup", "targetGroupArn", (ALL,)),
        Setter("ModifyTargetGroupAttributes", "targetGroupArn", (ALL,)),
        _deletes("DeleteTargetGroup", "targetGroupArn"),
        *ELB_TAGS,
    ),
    "iam-role": (
        Setter("PutRolePolicy", "roleName", ("InlinePolicies",)),
        Setter("DeleteRolePolicy", "roleName", ("InlinePolicies",)),
        Setter("UpdateAssumeRolePolicy", "roleName", ("AssumeRolePolicyDocument",)),
        Setter("AttachRolePolicy", "roleName", ("ManagedPolicies",)),
        Setter("DetachRolePolicy", "roleName", ("ManagedPolicies",)),
        Setter("PutRolePermissionsBoundary", "roleName", ("PermissionsBoundary",)),
        Setter("DeleteRolePermissionsBoundary", "roleName", ("PermissionsBoundary",)),
        _deletes("DeleteRole", "roleName"),
        *_tags("roleName", "UntagRole", "TagRole"),
    ),
    "logs-group": (
        Setter("PutRetentionPolicy", "logGroupName", ("retentionInDays",)),
        Setter("DeleteRetentionPolicy", "logGroupName", ("retentionInDays",)),
        _deletes("DeleteLogGroup", "logGroupName"),
        *_tags("resourceArn", *TAG_CALLS),
    ),
    "rds-instance": (
        Setter("ModifyDBInstance", INSTANCE),
        Setter("StopDBInstance", INSTANCE, ("Running",)),
        Setter("StartDBInstance", INSTANCE, ("Running",)),
        _deletes("DeleteDBInstance", INSTANCE),
        *RDS_TAGS,
    ),
    "rds-parameter-group": (
        Setter("ModifyDBParameterGroup", "dBParameterGroupName", ("Parameters",)),
        Setter("ResetDBParameterGroup", "dBParameterGroupName", ("Parameters",)),
        _deletes("DeleteDBParameterGroup", "dBParameterGroupName"),
        *RDS_TAGS,
    ),
    "rds-read-replica": (
        Setter("ModifyDBInstance", INSTANCE),
        Setter("PromoteReadReplica", INSTANCE, ("SourceDBInstanceIdentifier",)),
        Setter("StopDBInstance", INSTANCE, ("Running",)),
        Setter("StartDBInstance", INSTANCE, ("Running",)),
        _deletes("DeleteDBInstance", INSTANCE),
        *RDS_TAGS,
    ),
    "rds-subnet-group": (
        Setter("ModifyDBSubnetGroup", "dBSubnetGroupName", ("SubnetIds",)),
        _deletes("DeleteDBSubnetGroup", "dBSubnetGroupName"),
        *RDS_TAGS,
    ),
    "route53-alias": (
        Setter("ChangeResourceRecordSets", "changeBatch.changes.resourceRecordSet.name", (ALL,)),
        _deletes("ChangeResourceRecordSets", "changeBatch.changes.resourceRecordSet.name"),
    ),
    "s3-bucket": (
        Setter("PutBucketPolicy", "bucketName", ("Policy",)),
        Setter("DeleteBucketPolicy", "bucketName", ("Policy",)),
        Setter("PutBucketPublicAccessBlock", "bucketName", ("PublicAccessBlock",)),
        Setter("DeleteBucketPublicAccessBlock", "bucketName", ("PublicAccessBlock",)),
        Setter("PutBucketOwnershipControls", "bucketName", ("ObjectOwnership",)),
        Setter("PutBucketEncryption", "bucketName", ("SSEAlgorithm",)),
        Setter("DeleteBucketEncryption", "bucketName", ("SSEAlgorithm",)),
        Setter("PutBucketLifecycle", "bucketName", ("LifecycleRules",)),
        Setter("DeleteBucketLifecycle", "bucketName", ("LifecycleRules",)),
        _deletes("DeleteBucket", "bucketName"),
        *_tags("bucketName", "PutBucketTagging", "DeleteBucketTagging"),
    ),
    "scheduler-group": (_deletes("DeleteScheduleGroup", "name"), *_tags("resourceArn", *TAG_CALLS)),
    "scheduler-schedule": (Setter("UpdateSchedule", "name", (ALL,)), _deletes("DeleteSchedule", "name")),
    "secretsmanager-login": SECRET,
    "secretsmanager-pointer": SECRET,
    "secretsmanager-secret": SECRET,
    "sns-subscription": (_deletes("Unsubscribe", "subscriptionArn"),),
    "sns-topic": (
        Setter("SetTopicAttributes", "topicArn", ("Policy",)),
        Setter("Subscribe", "topicArn", ("Subscriptions",)),
        Setter("Unsubscribe", "subscriptionArn", ("Subscriptions",)),
        _deletes("DeleteTopic", "topicArn"),
        *_tags("resourceArn", *TAG_CALLS),
    ),
    "sqs-queue": (
        Setter("SetQueueAttributes", "queueUrl"),
        _deletes("DeleteQueue", "queueUrl"),
        *_tags("queueUrl", "UntagQueue", "TagQueue"),
    ),
    "wafv2-association": (
        Setter("AssociateWebACL", "resourceArn", (ALL,)),
        _deletes("DisassociateWebACL", "resourceArn"),
    ),
    "wafv2-ip-set": (
        Setter("UpdateIPSet", "name", (ALL,)),
        _deletes("DeleteIPSet", "name"),
        *_tags("resourceARN", *TAG_CALLS),
    ),
    "wafv2-logging": (
        Setter("PutLoggingConfiguration", "loggingConfiguration.resourceArn", (ALL,)),
        _deletes("DeleteLoggingConfiguration", "resourceArn"),
    ),
    "wafv2-web-acl": (
        Setter("UpdateWebACL", "name", (ALL,)),
        _deletes("DeleteWebACL", "name"),
        *_tags("resourceARN", *TAG_CALLS),
    ),
}
# How a service is named in its events, where not as in the kind.
SOURCES: Mapping[str, tuple[str, ...]] = {
    "apigatewayv2": ("apigateway",),
    "autoscaling": ("autoscaling", "application-autoscaling"),
    "cloudwatch": ("monitoring",),
    "elbv2": ("elasticloadbalancing",),
}
# A property whose parameter has another name.
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "EnableCloudwatchLogsExports": ("cloudwatchLogsExportConfiguration",),
    "Port": ("dBPortNumber",),
    "Subnets": ("networkConfiguration",),
    "SecurityGroups": ("networkConfiguration",),
    "Rollout": ("taskDefinition", "forceNewDeployment", "deploymentConfiguration"),
}
# Kinds whose events list no resource, so that only the name of the call finds them.
UNLISTED = frozenset(
    {
        "autoscaling-target",
        "cloudwatch-alarm",
        "cloudwatch-anomaly-detector",
        "cloudwatch-composite-alarm",
        "cloudwatch-dashboard",
        "scheduler-group",
        "scheduler-schedule",
    }
)
# IAM is the same in every region, and its events are in the first region of the partition.
HOME_REGIONS = {"aws": "us-east-1", "aws-us-gov": "us-gov-west-1", "aws-cn": "cn-north-1"}
AT_HOME = frozenset({"iam", "route53"})


def setters_of(kind: str, *, gone: bool) -> tuple[Setter, ...]:
    """The calls that change a resource of this kind, or that delete one."""
    return tuple(setter for setter in SETTERS.get(kind, ()) if setter.deletes == gone)


def sources_of(kind: str) -> tuple[str, ...]:
    """The services whose events change a resource of this kind."""
    service = kind.partition("-")[0]
    return SOURCES.get(service, (service,))
