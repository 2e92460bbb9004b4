"""Logins by tokens of IAM at the port of an instance: the right token opens it, and no other one does."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from psycopg import sql

from orderops.local.keys import AccessKey
from orderops.local.ports import PortTaken, free_port, listen
from orderops.local.rds import roles
from orderops.local.rds.certificates import certificate_file
from orderops.local.rds.gateway import Gateway
from orderops.local.rds.postgres import PostgresServer
from orderops.local.rds.tokens import Endpoint, TokenCheck

pytest_plugins = ["support.postgres_fixtures"]

USER, OTHER_USER, BY_PASSWORD, MASTER = "gate_tokens", "gate_other", "gate_password", "gate_master"
REGION = "ap-southeast-2"
KEY = AccessKey("AKIATASK", "the secret of the task", "the session token")
STRANGER = AccessKey("AKIASTRANGER", "another secret", "another token")
RESOURCE = "db-ABCDEFGHIJKL"
PAM = f'FATAL:  PAM authentication failed for user "{USER}"'


@dataclass
class Signed:
    """What a token says, and what signs it; as AWS's SDKs do it, unless changed."""

    port: int
    host: str = "127.0.0.1"
    user: str = USER
    region: str = REGION
    service: str = "rds-db"
    action: str = "connect"
    method: str = "GET"
    expires: int = 900
    key: AccessKey = KEY
    more: dict[str, str] = field(default_factory=dict)

    def token(self) -> str:
        parameters = {"Action": self.action, "DBUser": self.user, **self.more}
        request = AWSRequest(self.method, f"https://{self.host}:{self.port}/", params=parameters)
        credentials = Credentials(self.key.id, self.key.secret, self.key.token)
        SigV4QueryAuth(credentials, self.service, self.region, expires=self.expires).add_auth(request)
        return str(request.prepare().url).removeprefix("https://")


@dataclass
class Gate:
    """A gateway in front of the server, and the account behind it."""

    server: PostgresServer
    port: int = 0
    ahead: float = 0.0
    """Seconds that the clock of the account is ahead."""
    takes_tokens: bool = True
    allowed: str = f"arn:aws:rds-db:{REGION}:123456789012:dbuser:{RESOURCE}/{USER}"
    asked: list[str] = field(default_factory=list)

    def problem(self, token: str, user: str) -> str:
        at = Endpoint("127.0.0.1", self.port, REGION, RESOURCE, self.takes_tokens)
        check = TokenCheck({KEY.id: KEY}.get, self.permits, lambda: time.time() + self.ahead)
        self.asked.append(check.problem(token, user, at))
        return self.asked[-1]

    def permits(self, key_id: str, action: str, resource: str) -> bool:
        return (key_id, action, resource) == (KEY.id, "rds-db:connect", self.allowed)

    def connect(self, password: str, **given: Any) -> psycopg.Connection:
        where = {"host": "127.0.0.1", "port": self.port, "user": USER, "dbname": "postgres", "sslmode": "require"}
        return psycopg.connect(password=password, autocommit=True, **{**where, **given})

    def signed(self, **changed: Any) -> str:
        return replace(Signed(self.port), **changed).token()


@pytest.fixture(scope="module")
def server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    roles.set_up(postgres, MASTER, "of-the-master", None)
    with psycopg.connect(postgres.dsn(user=MASTER, password="of-the-master"), autocommit=True) as master:
        for user in (USER, OTHER_USER, BY_PASSWORD):
            master.execute(sql.SQL("create role {} login password 'its own'").format(sql.Identifier(user)))
        # By a role in between too, as PostgreSQL matches groups in pg_hba.conf.
        master.execute(f"create role gate_group; grant rds_iam to gate_group; grant gate_group to {USER}".encode())
        master.execute(f"grant rds_iam to {OTHER_USER}".encode())
    yield postgres
    with postgres.connect() as administrator:
        for role in (USER, OTHER_USER, BY_PASSWORD, "gate_group"):
            administrator.execute(f"drop role {role}".encode())
        administrator.execute(f"alter database postgres owner to {postgres.administrator}".encode())
        administrator.execute(f"drop role {MASTER}".encode())
    for template in ("template1", "postgres"):
        with postgres.connect(template) as administrator:
            administrator.execute("drop extension if exists pg_stat_statements")


@pytest.fixture
def gate(server: PostgresServer, tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(server)
    gateway = Gateway(server, certificate_file(tmp_path / "certificate.pem"), gate.problem)
    gateway.open(free_port())
    gate.port = gateway.port
    yield gate
    gateway.close()


def test_the_right_token_opens_a_session_as_its_user(gate: Gate) -> None:
    with gate.connect(gate.signed()) as session:
        assert session.execute("select session_user").fetchone() == (USER,)
        assert session.execute("select repeat('x', 300000)").fetchone() == ("x" * 300_000,)
    with gate.connect(gate.signed()) as session:
        assert session.execute("select 1").fetchone() == (1,)
    assert gate.asked == ["", ""]


def _with_changed_signature(gate: Gate) -> str:
    token = gate.signed()
    return token[:-1] + ("0" if token[-1] != "0" else "1")


REFUSED: dict[str, tuple[Callable[[Gate], str], str]] = {
    "for another user": (lambda gate: gate.signed(user=OTHER_USER), f"it is for the user {OTHER_USER}"),
    "with a user in other case": (lambda gate: gate.signed(user=USER.upper()), "it is for the user GATE_TOKENS"),
    "for another host": (lambda gate: gate.signed(host="localhost"), "it is for the host localhost:"),
    "for another port": (lambda gate: gate.signed(port=gate.port + 1), "it is for the host 127.0.0.1:"),
    "for another region": (lambda gate: gate.signed(region="us-east-1"), "it is signed for the region us-east-1"),
    "for another service": (lambda gate: gate.signed(service="rds"), "it is signed for the service rds"),
    "for another action": (lambda gate: gate.signed(action="describe"), "it is for the action describe"),
    "of another method": (lambda gate: gate.signed(method="POST"), "its signature does not match"),
    "unsigned": (
        lambda gate: f"127.0.0.1:{gate.port}/?Action=connect&DBUser={USER}",
        "it is not a presigned URL of signature version 4",
    ),
    "an ordinary password": (lambda gate: "its own", "it is not a presigned URL of signature version 4"),
    "by a key that does not exist": (lambda gate: gate.signed(key=STRANGER), "the access key AKIASTRANGER"),
    "by another secret of the key": (
        lambda gate: gate.signed(key=replace(KEY, secret="guessed")),
        "its signature does not match",
    ),
    "by another session of the key": (
        lambda gate: gate.signed(key=replace(KEY, token="older")),
        "its session token is not that of the access key",
    ),
    "with a changed signature": (_with_changed_signature, "its signature does not match"),
    "with a user set afterwards": (
        lambda gate: gate.signed(user=OTHER_USER).replace(f"DBUser={OTHER_USER}", f"DBUser={USER}"),
        "its signature does not match",
    ),
    "with two users": (lambda gate: gate.signed() + f"&DBUser={USER}", "it names a parameter twice"),
    "of a time of validity set afterwards": (
        lambda gate: gate.signed(expires=60).replace("X-Amz-Expires=60", "X-Amz-Expires=900"),
        "its signature does not match",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_forged_token_is_refused(gate: Gate, case: str) -> None:
    forged, reason = REFUSED[case]

    with pytest.raises(psycopg.OperationalError, match=re.escape(PAM)):
        gate.connect(forged(gate))

    assert gate.asked[0].startswith(reason)


@pytest.mark.parametrize(
    ("ahead", "expires", "reason"),
    [
        pytest.param(890, 900, "", id="fifteen minutes are not over"),
        pytest.param(901, 900, "it has expired: it was signed at", id="older than fifteen minutes"),
        pytest.param(901, 86_400, "it has expired: it was signed at", id="longer validity makes no token older"),
        pytest.param(61, 60, "it has expired: it was signed at", id="shorter validity is kept"),
        pytest.param(-290, 900, "", id="a clock may be minutes behind"),
        pytest.param(-330, 900, "it is from the future:", id="from the future"),
    ],
)
def test_a_token_is_taken_for_fifteen_minutes(gate: Gate, ahead: float, expires: int, reason: str) -> None:
    gate.ahead = ahead

    if not reason:
        gate.connect(gate.signed(expires=expires)).close()
        return
    with pytest.raises(psycopg.OperationalError, match=re.escape(PAM)):
        gate.connect(gate.signed(expires=expires))
    assert gate.asked[0].startswith(reason)


@pytest.mark.parametrize(
    "allowed",
    [
        pytest.param(f"arn:aws:rds-db:{REGION}:123456789012:dbuser:db-OTHER/{USER}", id="of another instance"),
        pytest.param(f"arn:aws:rds-db:{REGION}:123456789012:dbuser:{RESOURCE}/{OTHER_USER}", id="of another user"),
    ],
)
def test_a_token_without_permission_for_this_instance_and_user_is_refused(gate: Gate, allowed: str) -> None:
    gate.allowed = allowed

    with pytest.raises(psycopg.OperationalError, match=re.escape(PAM)):
        gate.connect(gate.signed())

    resource = f"arn:aws:rds-db:{REGION}:123456789012:dbuser:{RESOURCE}/{USER}"
    assert gate.asked == [f"no policy allows rds-db:connect on {resource}"]


def test_an_instance_with_iam_authentication_off_takes_no_token(gate: Gate) -> None:
    gate.takes_tokens = False

    with pytest.raises(psycopg.OperationalError, match=re.escape(PAM)):
        gate.connect(gate.signed())

    assert gate.asked == ["IAM authentication is off for this instance"]


def test_without_tls_a_member_of_rds_iam_is_not_let_in(gate: Gate) -> None:
    words = f'no pg_hba.conf entry for host "127.0.0.1", user "{USER}", database "postgres", no encryption'

    with pytest.raises(psycopg.OperationalError, match=re.escape(words)):
        gate.connect(gate.signed(), sslmode="disable")

    assert gate.asked == []


def test_a_role_outside_of_rds_iam_logs_in_by_password_and_by_no_token(gate: Gate) -> None:
    gate.connect("its own", user=BY_PASSWORD).close()
    gate.connect("its own", user=BY_PASSWORD, sslmode="disable").close()

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        gate.connect(gate.signed(user=BY_PASSWORD), user=BY_PASSWORD)
    assert gate.asked == []


def test_the_master_user_may_grant_rds_iam_and_keeps_the_password(gate: Gate) -> None:
    gate.connect("of-the-master", user=MASTER).close()


def test_an_answer_of_the_server_before_the_session_reaches_the_client(gate: Gate) -> None:
    with pytest.raises(psycopg.OperationalError, match='database "missing" does not exist'):
        gate.connect(gate.signed(), dbname="missing")


def test_a_password_that_someone_gave_the_role_does_not_lock_its_tokens_out_for_long(gate: Gate) -> None:
    gate.connect(gate.signed()).close()
    with gate.server.connect() as administrator:
        administrator.execute(f"alter role {USER} password 'another'".encode())

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        gate.connect(gate.signed())

    gate.connect(gate.signed()).close()


def test_a_query_is_cancelled_through_the_gateway(gate: Gate) -> None:
    running = "select count(*) from pg_stat_activity where usename = %s and wait_event = 'PgSleep'"
    with gate.connect(gate.signed()) as session, ThreadPoolExecutor() as pool, gate.server.connect() as administrator:
        sleeping = pool.submit(session.execute, "select pg_sleep(20)")
        while administrator.execute(running, [USER]).fetchone() != (1,):
            assert not sleeping.done(), sleeping.exception()
        # The other one waits without letting the threads of this process go on, of which the gateway is one.
        session.cancel_safe()

        with pytest.raises(psycopg.errors.QueryCanceled):
            sleeping.result()


def test_a_client_that_sends_nonsense_disturbs_no_other(gate: Gate) -> None:
    import socket

    with socket.create_connection(("127.0.0.1", gate.port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert stranger.recv(1) == b""

    gate.connect(gate.signed()).close()


def test_a_closed_gateway_ends_its_sessions_and_frees_its_port(server: PostgresServer, tmp_path: Path) -> None:
    gateway = Gateway(server, certificate_file(tmp_path / "certificate.pem"), lambda *_: "")
    gateway.open(free_port())
    port = gateway.port
    session = psycopg.connect(server.dsn(user=BY_PASSWORD, password="its own"), port=port)

    gateway.close()

    with pytest.raises(psycopg.OperationalError):
        session.execute("select 1")
    listen(port).close()


def test_a_taken_port_is_named(server: PostgresServer, tmp_path: Path) -> None:
    port = free_port()
    with listen(port), pytest.raises(PortTaken, match=f"port {port} is taken"):
        Gateway(server, certificate_file(tmp_path / "certificate.pem"), lambda *_: "").open(port)
