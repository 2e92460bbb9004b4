"""Mistakes in an environment file by name: the text, and the beginning of each line of the error."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from orderops.config.environment import Environment, load_environment
from orderops.errors import UsageError

SERVICE = "[services.orders]\n"


def declare(folder: Path, text: str, name: str = "dev") -> Environment:
    """Write an environment file, with the table it must have, and load it."""
    (folder / f"{name}.toml").write_text(with_database(text), encoding="utf-8")
    return load_environment(name, folder)


def with_database(text: str) -> str:
    """The text with [database] added, unless it has that table or is no TOML."""
    try:
        return text if "database" in tomllib.loads(text) else f"{text}\n[database]\n"
    except tomllib.TOMLDecodeError:
        return text


def refusal(folder: Path, text: str, name: str = "dev") -> list[str]:
    """The lines of the error for a file, without the file's name."""
    with pytest.raises(UsageError) as refused:
        declare(folder, text, name)
    start = f"{folder / name}.toml:"
    assert refused.value.hint == f"fix the file, then check it: orderops env check {name}"
    lines = refused.value.message.splitlines()
    assert all(line.startswith(start) for line in lines), lines
    return [line.removeprefix(start) for line in lines]


MISTAKES = {
    "a number in quotes": (
        '[balancer]\nport = "80"\n',
        ['2: balancer.port: "80": must be a whole number, without quotes'],
    ),
    "a number with a point": (
        "[balancer]\nport = 80.0\n",
        ["2: balancer.port: 80.0: must be a whole number, without quotes"],
    ),
    "a switch as a number": ("emulated = 1\n", ["1: emulated: 1: must be true or false, without quotes"]),
    "a text without quotes": (
        "[database]\nengine_version = 16\n",
        ["2: database.engine_version: 16: must be a text in quotes"],
    ),
    "tokens of IAM without TLS": (
        '[database]\nlogin = "iam"\nsslmode = "disable"\n',
        ['2: database.login: "iam": needs TLS: RDS takes tokens of IAM only with it; set sslmode = "verify-full"'],
    ),
    "no TLS on AWS, where tokens are the default": (
        '[database]\nsslmode = "disable"\n',
        ['1: database.login: "iam": needs TLS: RDS takes tokens of IAM only with it; set sslmode = "verify-full"'],
    ),
    "a login that is none": (
        '[database]\nlogin = "kerberos"\n',
        ['2: database.login: "kerberos": must be "iam" or "password"'],
    ),
    "the role for tokens as the master user": (
        '[database]\nusername = "orderops_service_iam"\n',
        ["2: database.username"],
    ),
    "a list that is none": (
        '[balancer]\nallowed_cidrs = "0.0.0.0/0"\n',
        ['2: balancer.allowed_cidrs: "0.0.0.0/0": must be a list such as ["…", "…"]'],
    ),
    "a table that is none": ("network = 10\n", ["1: network: 10: must be a table"]),
    "a number out of range": (
        "[balancer]\nidle_timeout_seconds = 4001\n",
        ["2: balancer.idle_timeout_seconds: 4001: must be 1 to 4000"],
    ),
    "an unknown key": ('[network]\ncdir = "10.0.0.0/16"\n', ["2: network.cdir: unknown key, did you mean cidr?"]),
    "a key of another table": (
        "[network]\nmulti_az = true\n",
        ["2: network.multi_az: unknown key here, did you mean database.multi_az?"],
    ),
    "a key that is like no other": (
        "[cluster]\ncolour = 3\n",
        ["2: cluster.colour: unknown key, known are container_insights"],
    ),
    "an unknown table": ("[netwrok]\nzones = 2\n", ["1: netwrok: unknown key, did you mean network?"]),
    "the name in the file": ('name = "dev"\n', ['1: name: "dev": is the name of the file; leave it out']),
    "a region that is none": ('region = "sydney"\n', ['1: region: "sydney": must be an AWS region such as ap-so']),
    "an account of 11 digits": ('account = "12345678901"\n', ['1: account: "12345678901": must be an account numb']),
    "a tag of AWS": ('[tags]\n"AWS:x" = "y"\n', ['2: tags.AWS:x: "AWS:x": must be a key of at most 127 letters']),
    "a tag of ours": ('[tags]\n"orderops:x" = "y"\n', ['2: tags.orderops:x: "orderops:x": must be a key of at mo']),
    "a tag of signs": ('[tags]\nowner = "a;b"\n', ['2: tags.owner: "a;b": must be a text of at most 256 letters']),
    "a range that is none": (
        '[network]\ncidr = "10.0.0.0"\n',
        ['2: network.cidr: "10.0.0.0": must be a range from /16 to /28, such as 10.0.0.0/16'],
    ),
    "a range that is too large": (
        '[network]\ncidr = "10.0.0.0/8"\n',
        ['2: network.cidr: "10.0.0.0/8": must be a range from /16 to /28, such as 10.0.0.0/16'],
    ),
    "a range that starts within": (
        '[network]\ncidr = "10.0.9.0/16"\n',
        ['2: network.cidr: "10.0.9.0/16": is not the start of its range; write 10.0.0.0/16'],
    ),
    "a VPC too small for its subnets": (
        '[network]\ncidr = "10.0.0.0/22"\n',
        ["1: network.subnet_prefix: 24: must be 26 to 28 in 10.0.0.0/22"],
    ),
    "a VPC too small to carve": (
        '[network]\ncidr = "10.0.0.0/25"\nsubnet_prefix = 28\n',
        ["3: network.subnet_prefix: 28: 10.0.0.0/25 is too small to derive subnets; set all three lists"],
    ),
    "a subnet too few": (
        '[network]\npublic_subnets = ["10.0.0.0/24"]\n',
        ['2: network.public_subnets: ["10.0.0.0/24"]: must be 2 subnets, one for each zone'],
    ),
    "a subnet outside the VPC": (
        '[network]\npublic_subnets = ["10.0.0.0/24", "10.1.0.0/24"]\n',
        ['2: network.public_subnets[1]: "10.1.0.0/24": is outside the VPC, 10.0.0.0/16'],
    ),
    "subnets that overlap": (
        '[network]\npublic_subnets = ["10.0.4.0/23", "10.0.2.0/24"]\n',
        ['2: network.public_subnets[0]: "10.0.4.0/23": overlaps 10.0.4.0/24, private_subnets[0]'],
    ),
    "gateways that are neither one nor one a zone": (
        "[network]\nzones = 3\nnat_gateways = 2\n",
        ["3: network.nat_gateways: 2: must be 1 or 3, the number of zones"],
    ),
    "a retention that logs do not offer": (
        "[network]\nflow_log_days = 10\n",
        ["2: network.flow_log_days: 10: must be one of 1, 3, 5, 7, 14, 30"],
    ),
    "an instance class that is none": (
        '[database]\ninstance_class = "t3.micro"\n',
        ['2: database.instance_class: "t3.micro": must be an instance class such as db.t3.micro'],
    ),
    "a version that is none": (
        '[database]\nengine_version = "latest"\n',
        ['2: database.engine_version: "latest": must be a PostgreSQL version from 13 on, such as 16 or 16.4'],
    ),
    "no backups": (
        "[database]\nbackup_days = 0\n",
        ["2: database.backup_days: 0: must be 1 to 35; without backups nothing can be restored"],
    ),
    "growth by less than AWS takes": (
        "[database]\nstorage_gb = 100\nmax_storage_gb = 109\n",
        ["3: database.max_storage_gb: 109: must be 110 to 65536, at least 10 % more than storage_gb"],
    ),
    "a user that RDS keeps": (
        '[database]\nusername = "admin"\n',
        ['2: database.username: "admin": is reserved by RDS or PostgreSQL; choose another name'],
    ),
    "a user like a system role": ('[database]\nusername = "pg_me"\n', ['2: database.username: "pg_me": is reserved']),
    "a database that PostgreSQL keeps": (
        '[database]\nname = "template1"\n',
        ['2: database.name: "template1": is reserved by RDS or PostgreSQL; choose another name'],
    ),
    "a log that PostgreSQL does not write": (
        '[database]\nlog_exports = ["slowquery"]\n',
        ['2: database.log_exports[0]: "slowquery": must be "postgresql" or "upgrade"'],
    ),
    "a way in that is none": (
        '[database]\naccess = "bastion"\n',
        ['2: database.access: "bastion": must be "direct", "task" or "tunnel"'],
    ),
    "a window that is none": (
        '[database]\nbackup_window = "25:00-26:00"\n',
        ['2: database.backup_window: "25:00-26:00": must be hh:mm-hh:mm in UTC, such as 16:00-16:30'],
    ),
    "a window that is too short": (
        '[database]\nbackup_window = "23:50-00:10"\n',
        ['2: database.backup_window: "23:50-00:10": must be a window of 30 minutes to 24 hours'],
    ),
    "windows that meet": (
        '[database]\nbackup_window = "23:45-00:30"\nmaintenance_window = "wed:00:15-wed:00:45"\n',
        ['3: database.maintenance_window: "wed:00:15-wed:00:45": overlaps backup_window, 23:45-00:30'],
    ),
    "database insights without performance insights": (
        '[database]\nperformance_insights = false\ndatabase_insights = "advanced"\n',
        ['3: database.database_insights: "advanced": needs performance_insights = true: RDS turns on adv'],
    ),
    "read replicas of a database whose password RDS manages": (
        "[database]\nreplicas = 1\n",
        ['2: database.replicas: 1: needs master = "own": RDS makes no read replica while it manages'],
    ),
    "more read replicas than orderops runs": (
        '[database]\nmaster = "own"\nreplicas = 6\n',
        ["3: database.replicas: 6: must be 0 to 5"],
    ),
    "a mode of database insights that RDS does not have": (
        '[database]\ndatabase_insights = "extreme"\n',
        ['2: database.database_insights: "extreme": must be'],
    ),
    "a retention that CloudWatch Logs does not have": (
        "[cluster]\ninsights_days = 8\n",
        ["2: cluster.insights_days: 8: must be"],
    ),
    "what a name of an API cannot have": (
        '[domain]\nname = "orders.example.com"\nzone = "example.com"\nport = 8443\nhsts_seconds = 3600\n'
        '[api]\ntype = "http"\n',
        [
            "4: domain.port: 8443: must be 443 with [api]: API Gateway answers a name by no other port",
            "5: domain.hsts_seconds: 3600: must be 0 with [api]: API Gateway adds no such header",
        ],
    ),
    "a role that is none": (
        'role = "operator"\n',
        ['1: role: "operator": must be the ARN of a role: arn:PARTITION:iam::ACCOUNT:role/NAME'],
    ),
    "a role of another account": (
        'account = "123456789012"\nrole = "arn:aws:iam::210987654321:role/operator"\n',
        ['2: role: "arn:aws:iam::210987654321:role/operator": is a role of another account; the environment is pinned'],
    ),
    "a role on the laptop": (
        'emulated = true\nrole = "arn:aws:iam::210987654321:role/operator"\n',
        ['2: role: "arn:aws:iam::210987654321:role/operator": cannot be combined with emulated = true'],
    ),
    "rehearsed, and applied by up": (
        "[migrations]\non_up = true\nrehearsed = true\n",
        ["3: migrations.rehearsed: true: cannot be combined with on_up = true: orderops up applies without a"],
    ),
    "a city for a time zone": (
        '[alerts]\ntime_zone = "sydney"\n',
        ['2: alerts.time_zone: "sydney": must be a time zone of the tz database such as Australia/Sydney'],
    ),
    "an address without a domain": ('[alerts]\nemails = ["ops"]\n', ['2: alerts.emails[0]: "ops": must be an addr']),
    "an endpoint in the clear": (
        '[alerts]\nhttps = ["http://pager.example.com/"]\n',
        ['2: alerts.https[0]: "http://pager.example.com/": must be an address that begins with https://'],
    ),
    "an address twice": (
        '[alerts]\nemails = ["a@example.com", "a@example.com"]\n',
        ['2: alerts.emails: ["a@example.com", "a@example.com"]: must not have duplicate entries'],
    ),
    "nobody may connect": (
        "[balancer]\nallowed_cidrs = []\n",
        ["2: balancer.allowed_cidrs: []: must have 1 to 60 entries"],
    ),
    "more ranges than a security group has rules": (
        f"[balancer]\nallowed_cidrs = {[f'10.0.{number}.0/24' for number in range(61)]}\n",
        ["2: balancer.allowed_cidrs: "],
    ),
    "zones of another region": (
        'region = "ap-northeast-1"\n[network]\nzones = ["ap-northeast-1a", "ap-southeast-2c"]\n',
        ['3: network.zones[1]: "ap-southeast-2c": is no zone of ap-northeast-1, the region'],
    ),
    "one zone by name": (
        '[network]\nzones = ["ap-southeast-2a"]\n',
        ['2: network.zones: ["ap-southeast-2a"]: must be 2 to 3, or a list such as ["ap-southeast-2a", "ap-'],
    ),
    "a zone twice": (
        '[network]\nzones = ["ap-southeast-2a", "ap-southeast-2a"]\n',
        ['2: network.zones: ["ap-southeast-2a", "ap-southeast-2a"]: must not have duplicate entries'],
    ),
    "zones as a text": ('[network]\nzones = "2"\n', ['2: network.zones: "2": must be 2 to 3, or a list such as']),
    "zones as a switch": ("[network]\nzones = true\n", ["2: network.zones: true: must be 2 to 3, or a list such as"]),
    "a gateway for each of two named zones": (
        '[network]\nzones = ["ap-southeast-2a", "ap-southeast-2c"]\nnat_gateways = 3\n',
        ["3: network.nat_gateways: 3: must be 1 or 2, the number of zones"],
    ),
    # IAM user guide, "Tagging IAM resources": keys are not case sensitive. terraform-aws-rds-aurora#189
    "a tag like our own": ('[tags]\nname = "shop"\n', ['2: tags.name: "shop": IAM does not tell its key from Name']),
    "a tag that is our own": ('[tags]\nName = "shop"\n', ['2: tags.Name: "shop": IAM does not tell its key from N']),
    "tags alike but for case": (
        '[tags]\nTeam = "a"\nteam = "b"\n',
        ['3: tags.team: "b": IAM does not tell its key from Team; use another key'],
    ),
    "prod without protection": (
        "",
        [
            "1: protected: false: must be true: the environment is named prod",
            "1: balancer.deletion_protection: false: must be true: the environment is protected",
            '1: services.orders: "orders": needs a token_secret, such as "ORDERS_TOKEN"',
            "3: database.deletion_protection: false: must be true: the environment is protected",
        ],
    ),
}

SERVICE_MISTAKES = {
    "a token that is also a variable": (
        'secrets = ["TOKEN"]\ntoken_secret = "TOKEN"\n',
        ['3: services.orders.token_secret: "TOKEN": is also in secrets; the service reads this secret itself'],
    ),
    "a variable that a key sets": (
        'variables = { TOKEN_SECRET = "x" }\n',
        ['2: services.orders.variables.TOKEN_SECRET: "x": orderops sets this variable itself, from token_secret'],
    ),
    "a cpu that Fargate does not have": (
        "cpu = 300\n",
        ["2: services.orders.cpu: 300: must be one of 256, 512, 1024, 2048, 4096"],
    ),
    "memory that does not go with the cpu": (
        "cpu = 256\nmemory = 4096\n",
        ["3: services.orders.memory: 4096: must be one of 512, 1024, 2048 with cpu 256"],
    ),
    "memory left behind by the cpu": (
        "cpu = 1024\n",
        ["1: services.orders.memory: 512: must be one of 2048, 3072, 4096, 5120, 6144, 7168, 8192 with cpu 1024"],
    ),
    "more tasks at least than at most": (
        "min_tasks = 6\n",
        ["2: services.orders.min_tasks: 6: must be 1 to 5, which is max_tasks"],
    ),
    "a path without a slash": (
        'health_path = "health"\n',
        ['2: services.orders.health_path: "health": must be a path that begins with /, without spaces'],
    ),
    "a pattern with signs that the balancer does not take": (
        'paths = ["/orders?id=[0-9]"]\n',
        ['2: services.orders.paths[0]: "/orders?id=[0-9]": must be a pattern of at most 128 letters, digits and'],
    ),
    "a pattern that is too long": (f'paths = ["/{"a" * 128}"]\n', ["2: services.orders.paths[0]: "]),
    "six patterns": (
        'paths = ["/1", "/2", "/3", "/4", "/5", "/6"]\n',
        ['2: services.orders.paths: ["/1", "/2", "/3", "/4", "/5", "/6"]: must have 1 to 5 entries'],
    ),
    "a secret that is no variable": (
        'secrets = ["api-key"]\n',
        ['2: services.orders.secrets[0]: "api-key": must be upper-case letters, digits and underscores'],
    ),
    "a variable that is a secret too": (
        'secrets = ["TOKEN"]\nvariables = { TOKEN = "x" }\n',
        ['3: services.orders.variables.TOKEN: "x": is also in secrets'],
    ),
    "a variable that orderops sets": (
        '[services.orders.variables]\nPORT = "9999"\n',
        ['3: services.orders.variables.PORT: "9999": orderops sets this variable itself, from port'],
    ),
    "a secret with the name of our variable": (
        'secrets = ["TOKEN", "DATABASE_SECRET"]\n',
        ['2: services.orders.secrets[1]: "DATABASE_SECRET": orderops sets this variable itself'],
    ),
    "a variable that ECS sets": (
        'variables = { ECS_CONTAINER_METADATA_URI_V4 = "x" }\n',
        ['2: services.orders.variables.ECS_CONTAINER_METADATA_URI_V4: "x": ECS sets this variable itself'],
    ),
    "credentials in place of the role": (
        'secrets = ["AWS_SECRET_ACCESS_KEY"]\n',
        ['2: services.orders.secrets[0]: "AWS_SECRET_ACCESS_KEY": would take the place of the task\'s role'],
    ),
    "variables that no task definition holds": (
        f'variables = {{ A = "{"x" * 52_000}" }}\n',
        ["2: services.orders.variables: a table: has 52001 characters; a task definition has room for 51200"],
    ),
    "more tasks than addresses": (
        'max_tasks = 252\npool_size = 1\n[database]\ninstance_class = "db.r5.4xlarge"\n',
        [
            "2: services.orders.max_tasks: 252: all services run up to 504 tasks during a deployment; the private "
            "subnets have 502 addresses"
        ],
    ),
    "more connections than the database allows": (
        'pool_size = 60\n[database]\ninstance_class = "db.t4g.micro"\n',
        [
            "2: services.orders.pool_size: 60: all services open up to 600 database connections during a deployment "
            "(2 x max_tasks x pool_size); a db.t4g.micro has about 80 and keeps 15 for RDS, migrations and operators, "
            "which leaves 65: lower pool_size or max_tasks, or choose a larger instance_class"
        ],
    ),
    "more connections of all services together": (
        'paths = ["/a"]\nmax_tasks = 5\n[services.users]\npaths = ["/b"]\nmax_tasks = 4\n',
        ["3: services.orders.max_tasks: 5: all services open up to 72 database connections during a deployment"],
    ),
    "a worker without a service": (
        'paths = ["/a"]\n[services.helper]\nrole = "worker"\nmax_tasks = 1\n',
        ['4: services.helper.role: "worker": needs works_for, the service whose queue it empties'],
    ),
    "a worker of a service that does not exist": (
        'paths = ["/a"]\n[services.helper]\nrole = "worker"\nworks_for = "order"\nmax_tasks = 1\n',
        ['5: services.helper.works_for: "order": is no service of this file; services with a queue: orders'],
    ),
    "a worker of a worker": (
        '[services.a]\nrole = "worker"\nworks_for = "orders"\nmax_tasks = 1\n'
        '[services.b]\nrole = "worker"\nworks_for = "a"\nmax_tasks = 1\n',
        ['8: services.b.works_for: "a": is a worker itself; services with a queue: orders'],
    ),
    "a worker that works for itself": (
        '[services.a]\nrole = "worker"\nworks_for = "a"\nmax_tasks = 1\n',
        ['4: services.a.works_for: "a": is a worker itself; services with a queue: orders'],
    ),
    "what means nothing to a worker": (
        '[services.helper]\nrole = "worker"\nworks_for = "orders"\nmax_tasks = 1\npaths = ["/b"]\npriority = 7\n'
        'token_secret = "TOKEN"\nsecrets = ["KEY"]\ndockerfile = "Dockerfile"\ncpu_target_percent = 50\n'
        "[services.helper.queue]\npoll_seconds = 1\n[services.helper.alarms]\nqueue_depth = 5\n",
        [
            '6: services.helper.paths: ["/b"]: has no use in a worker: the load balancer sends it no requests',
            "7: services.helper.priority: 7: has no use in a worker: the load balancer sends it no requests",
            '8: services.helper.token_secret: "TOKEN": has no use in a worker: the load balancer sends it no requests',
            '9: services.helper.secrets: ["KEY"]: has no use in a worker: it has that of the service that works_for',
            '10: services.helper.dockerfile: "Dockerfile": has no use in a worker: it has that of the service',
            "11: services.helper.cpu_target_percent: 50: has no use in a worker: it scales on messages_per_task",
            "12: services.helper.queue: a table: has no use in a worker: it has that of the service that works_for",
            "15: services.helper.alarms.queue_depth: 5: has no use in a worker: it has that of the service",
        ],
    ),
    "a worker that reads from replicas": (
        '[services.helper]\nrole = "worker"\nworks_for = "orders"\nmax_tasks = 1\nmax_lag_seconds = 5\n',
        ["6: services.helper.max_lag_seconds: 5: has no use in a worker: the load balancer sends it no requests"],
    ),
    "a replica that may be an hour and a second behind": (
        "max_lag_seconds = 3601\n",
        ["2: services.orders.max_lag_seconds: 3601: must be 0 to 3600"],
    ),
    "a replica that is ahead": (
        "max_lag_seconds = -1\n",
        ["2: services.orders.max_lag_seconds: -1: must be 0 to 3600"],
    ),
    "a grace that no container has": (
        '[services.helper]\nrole = "worker"\nworks_for = "orders"\nmax_tasks = 1\nhealth_grace_seconds = 301\n',
        ["6: services.helper.health_grace_seconds: 301: must be 0 to 300 in a worker: from then on ECS counts failed"],
    ),
    "keys of a worker in a service": (
        'role = "web"\nworks_for = "orders"\nmessages_per_task = 5\n',
        [
            '3: services.orders.works_for: "orders": is for a worker; this service has role = "web"',
            '4: services.orders.messages_per_task: 5: is for a worker; this service has role = "web"',
        ],
    ),
    "a worker without the metric that it scales on": (
        '[services.helper]\nrole = "worker"\nworks_for = "orders"\nmax_tasks = 1\n'
        "[cluster]\ncontainer_insights = false\n",
        [
            '3: services.helper.role: "worker": scales on the number of running tasks, which AWS counts with '
            "container_insights = true only"
        ],
    ),
    "an image that is none": ('image = "Orders Image"\n', ['2: services.orders.image: "Orders Image": must be an']),
    # The grammar of the distribution project, "reference"; ECR's CreateRepository for the length of a name.
    "an image with an empty name": ('image = "registry.example.com/"\n', ['2: services.orders.image: "registry.exam']),
    "an image with a name that ends with a sign": ('image = "orders-:1"\n', ['2: services.orders.image: "orders-:1"']),
    "an image with a tag that begins with a sign": ('image = "a/b:-1"\n', ['2: services.orders.image: "a/b:-1"']),
    "an image with half a digest": ('image = "a/b@sha256:0123"\n', ['2: services.orders.image: "a/b@sha256:0123"']),
    "an image of ECR with a name of one letter": (
        'image = "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/x:1"\n',
        ['2: services.orders.image: "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/x:1": must be an image'],
    ),
    "a process on AWS": (
        'image = "process://orderops.service"\n',
        ['2: services.orders.image: "process://orderops.service": runs on this machine; allowed only with emulated'],
    ),
    "an image that is there and built": (
        'image = "orders:1"\ndockerfile = "Dockerfile"\n',
        ['3: services.orders.dockerfile: "Dockerfile": is used only when image is left out'],
    ),
    "dead letters that die before the living": (
        "[services.orders.queue]\nretention_days = 14\ndead_letter_retention_days = 4\n",
        ["4: services.orders.queue.dead_letter_retention_days: 4: must be 14 to 14, not less than retention_days"],
    ),
    "one priority twice": (
        'paths = ["/a"]\npriority = 200\n[services.users]\npaths = ["/b"]\nmax_tasks = 2\n',
        ["4: services.users.priority: 200: is also the priority of orders; must be 1 to 50000, different for"],
    ),
    "one path twice": (
        'paths = ["/a", "/b"]\n[services.users]\npaths = ["/c", "/b"]\nmax_tasks = 2\n',
        ['4: services.users.paths[1]: "/b": is also a path of orders'],
    ),
    "a service that no request reaches": (
        '[services.users]\npaths = ["/users*"]\nmax_tasks = 2\n',
        [
            '3: services.users.paths: ["/users*"]: orders gets all of these requests first, at priority 100; '
            "set priority = 99 under [services.users]"
        ],
    ),
    "a service before which there is no room": (
        'priority = 1\n[services.users]\npaths = ["/users*"]\nmax_tasks = 2\n',
        [
            '4: services.users.paths: ["/users*"]: orders gets all of these requests first, at priority 1; '
            "set priority = 201 under [services.orders]"
        ],
    ),
    "a service with capital letters": (
        "[services.Users]\npriority = 1\n",
        ['2: services.Users: "Users": must be a name of lower-case letters, digits and single hyphens'],
    ),
    "a service whose name is too long for AWS": (
        '[services.processor-of-orders1]\npaths = ["/x"]\npriority = 1\nmax_tasks = 2\n',
        [
            '2: services.processor-of-orders1: "processor-of-orders1": orderops-dev-processor-of-orders1 has 33 '
            "characters, at most 32 are allowed; shorten the service's name to 19"
        ],
    ),
}
