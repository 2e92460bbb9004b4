"""The rotation of a password, on a real server: no login fails, whatever interrupts it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import boto3
import psycopg
import pytest
from psycopg import sql

from orderops.aws.client import Aws
from orderops.database import service_role
from orderops.database.connection import CredentialsShape, Login
from orderops.database.rotation import MasterUser, Rotated, Rotation, RotationResult, ServiceUsers
from orderops.database.secret_versions import LoginSecret
from orderops.errors import OrderopsError
from orderops.local.rds import roles
from orderops.local.rds.postgres import PostgresServer
from support.faults import Fault, PowerCut

pytest_plugins = ["support.postgres_fixtures"]

FIRST, SECOND = "orderops_service", "orderops_service_b"
SECRET, MASTER_SECRET = "orderops/dev/database-login", "orderops/dev/database-master"
MASTER = CredentialsShape("rotation_keeper", "of-the-master")
NO_GRACE = timedelta()
Cut = Callable[[], None]


@dataclass
class Dev:
    """A database and its secrets."""

    aws: Aws
    login: Login

    def rotation(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Rotation:
        return Rotation(LoginSecret(self.aws, SECRET), ServiceUsers(self.login), clock)

    def master_rotation(self) -> Rotation:
        current = LoginSecret(self.aws, MASTER_SECRET).login()
        return Rotation(
            LoginSecret(self.aws, MASTER_SECRET), MasterUser(replace(self.login, password=current.password))
        )

    def in_secret(self, stage: str = "AWSCURRENT", secret: str = SECRET) -> CredentialsShape:
        response = self.aws.secretsmanager.get_secret_value(SecretId=secret, VersionStage=stage)
        return CredentialsShape(**json.loads(response["SecretString"]))

    def labels(self, secret: str = SECRET) -> list[list[str]]:
        """The labels of the versions that have any."""
        raw = self.aws.secretsmanager.list_secret_version_ids(SecretId=secret)["Versions"]
        return sorted(sorted(version["VersionStages"]) for version in raw if version["VersionStages"])

    def opens(self, login: CredentialsShape) -> bool:
        try:
            self.session(login).close()
        except psycopg.OperationalError as error:
            assert "password authentication failed" in str(error) or "not permitted to log in" in str(error)
            return False
        return True

    def session(self, login: CredentialsShape) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=self.login.host,
            port=self.login.port,
            dbname=self.login.dbname,
            user=login.username,
            password=login.password,
            sslmode="disable",
            autocommit=True,
        )

    def users_that_log_in(self) -> set[str]:
        with self.session(self.in_secret(secret=MASTER_SECRET)) as session:
            rows = session.execute("select rolname from pg_roles where rolcanlogin and rolname ~ '^orderops_service'")
            return {name for (name,) in rows}


@pytest.fixture
def dev(postgres: PostgresServer, aws: Aws) -> Iterator[Dev]:
    """A database whose owner is a master user who is no superuser, with the services' role and both secrets."""
    name = f"rotation_{uuid.uuid4().hex[:8]}"
    roles.set_up(postgres, MASTER.username, MASTER.password, name)
    roles.set_password(postgres, MASTER.username, MASTER.password)
    with psycopg.connect(postgres.dsn(name)) as session:
        host, port = session.info.host, session.info.port
    login = Login(host, port, name, "disable", MASTER.username, MASTER.password)
    for secret, held in ((SECRET, CredentialsShape(FIRST, "of-the-services")), (MASTER_SECRET, MASTER)):
        aws.secretsmanager.create_secret(Name=secret, SecretString=json.dumps(vars(held)))
    dev = Dev(aws, login)
    with dev.session(MASTER) as session:
        session.execute("create table orders (id bigserial primary key)")
        service_role.establish(session, FIRST, "of-the-services")
    yield dev
    postgres.drop_database(name)
    with postgres.connect() as administrator:
        for user in (SECOND, FIRST, "orderops_reader"):
            administrator.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(user)))
    for template in ("template1", "postgres"):
        with postgres.connect(template) as administrator:
            administrator.execute("drop extension if exists pg_stat_statements")


@pytest.fixture
def statements_cut(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the process die before the nth statement from now on."""
    execute = psycopg.Connection.execute

    def cut(number: int) -> None:
        left = iter(range(number))

        def counted(self: Any, *values: Any, **options: Any) -> Any:
            if next(left, None) is None:
                raise PowerCut
            return execute(self, *values, **options)

        monkeypatch.setattr(psycopg.Connection, "execute", counted)

    return cut


def test_the_other_user_logs_in_with_the_same_rights_and_the_login_before_is_closed(dev: Dev) -> None:
    before = dev.in_secret()

    outcome = dev.rotation().run(NO_GRACE)

    now = dev.in_secret()
    assert outcome == RotationResult(Rotated.DONE, SECOND, outcome.since)
    assert (now.username, dev.in_secret("AWSPREVIOUS")) == (SECOND, before)
    assert dev.opens(now)
    assert not dev.opens(before)
    with dev.session(now) as session:
        session.execute("insert into orders default values")
    assert dev.labels() == [["AWSCURRENT"], ["AWSPREVIOUS"]]


def test_a_table_that_a_migration_creates_later_is_open_to_both_users(dev: Dev) -> None:
    dev.rotation().run(NO_GRACE)
    with dev.session(MASTER) as session:
        session.execute("create table later (id bigserial primary key)")

    with dev.session(dev.in_secret()) as session:
        session.execute("insert into later default values")


def test_the_users_take_turns_and_no_third_one_is_made(dev: Dev) -> None:
    seen = []
    for _ in range(4):
        dev.rotation().run(NO_GRACE)
        seen.append(dev.in_secret().username)
        assert dev.users_that_log_in() == {seen[-1]}

    assert seen == [SECOND, FIRST, SECOND, FIRST]


def test_within_the_grace_both_logins_are_open(dev: Dev) -> None:
    before = dev.in_secret()

    outcome = dev.rotation().run(timedelta(hours=24))

    assert outcome.state is Rotated.OPEN
    assert outcome.open_until is not None
    assert outcome.open_until - datetime.now(UTC) > timedelta(hours=23)
    assert dev.opens(before)
    assert dev.opens(dev.in_secret())


def test_a_run_after_the_grace_closes_the_login_before_and_begins_nothing(dev: Dev) -> None:
    before = dev.in_secret()
    dev.rotation().run(timedelta(hours=24))
    now = dev.in_secret()

    early = dev.rotation().run()
    late = dev.rotation(lambda: datetime.now(UTC) + timedelta(hours=25)).run()

    assert (early.state, late.state) == (Rotated.OPEN, Rotated.DONE)
    assert dev.in_secret() == now
    assert not dev.opens(before)


def test_a_grace_that_is_given_again_replaces_the_one_on_record(dev: Dev) -> None:
    dev.rotation().run(timedelta(hours=24))

    assert dev.rotation().run(NO_GRACE).state is Rotated.DONE


def test_sessions_of_the_login_before_go_on(dev: Dev) -> None:
    with dev.session(dev.in_secret()) as session:
        dev.rotation().run(NO_GRACE)

        session.execute("insert into orders default values")


def test_a_young_password_is_left_alone_and_a_rotation_that_was_begun_goes_on(dev: Dev) -> None:
    month = timedelta(days=30)
    assert dev.rotation().run(NO_GRACE, if_older=month).state is Rotated.UNTIMELY
    assert dev.labels() == [["AWSCURRENT"]]

    secret = LoginSecret(dev.aws, SECRET)
    secret.begin(secret.versions(), SECOND)

    assert dev.rotation().run(NO_GRACE, if_older=month).state is Rotated.DONE


def test_no_password_is_in_a_statement(dev: Dev, postgres: PostgresServer) -> None:
    dev.rotation().run(NO_GRACE)

    password = dev.in_secret().password
    assert password not in postgres.log.read_text(errors="replace")


def test_a_user_that_somebody_else_has_put_into_the_secret_is_refused(dev: Dev) -> None:
    dev.aws.secretsmanager.put_secret_value(SecretId=SECRET, SecretString='{"username": "me", "password": "mine"}')

    with pytest.raises(OrderopsError, match="names a user that orderops has not made"):
        dev.rotation().run(NO_GRACE)

    assert "AWSPENDING" not in str(dev.labels())


def test_a_new_user_that_cannot_log_in_is_never_put_into_use(dev: Dev) -> None:
    before = dev.in_secret()

    class Unable(ServiceUsers):
        def open(self, new: CredentialsShape) -> None:
            pass

    with pytest.raises(OrderopsError, match="cannot be opened"):
        Rotation(LoginSecret(dev.aws, SECRET), Unable(dev.login)).run(NO_GRACE)

    assert dev.in_secret() == before
    assert dev.opens(before)


def test_two_that_begin_at_once_make_one_password(dev: Dev) -> None:
    one, other = LoginSecret(dev.aws, SECRET), LoginSecret(dev.aws, SECRET)
    versions = one.versions()

    assert one.begin(versions, SECOND) == other.begin(versions, SECOND)
    assert dev.labels() == [["AWSCURRENT"], ["AWSPENDING"]]


@pytest.mark.parametrize("answers", range(12))
def test_a_rotation_that_dies_at_an_answer_of_secrets_manager_comes_to_the_same_end(
    dev: Dev, power_cut: Fault, answers: int
) -> None:
    with power_cut("secretsmanager", after=answers):
        try:
            dev.rotation().run(NO_GRACE)
        except PowerCut:
            pass
        else:
            assert answers >= 11
    assert dev.opens(dev.in_secret())

    until(dev, lambda: dev.rotation().run(NO_GRACE))


def test_a_rotation_that_dies_before_a_statement_comes_to_the_same_end(
    dev: Dev, statements_cut: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in count():
        statements_cut(number)
        try:
            dev.rotation().run(NO_GRACE)
        except PowerCut:
            died = True
        else:
            died = False
        monkeypatch.undo()
        assert dev.opens(dev.in_secret())
        until(dev, lambda: dev.rotation().run(NO_GRACE))
        if not died:
            break

    assert number > 5


def until(dev: Dev, run: Callable[[], RotationResult]) -> None:
    """Run again, as an operator would, and find one login, no label left, and nothing half done."""
    assert run().state is Rotated.DONE
    assert "AWSPENDING" not in str(dev.labels())
    assert dev.users_that_log_in() == {dev.in_secret().username}
    assert dev.opens(dev.in_secret())


def test_the_master_user_gets_a_password_that_nobody_else_knows(dev: Dev) -> None:
    outcome = dev.master_rotation().run(NO_GRACE)

    now = dev.in_secret(secret=MASTER_SECRET)
    assert (outcome.state, outcome.username) == (Rotated.DONE, MASTER.username)
    assert dev.opens(now)
    assert not dev.opens(MASTER)
    assert dev.labels(MASTER_SECRET) == [["AWSCURRENT"], ["AWSPREVIOUS"]]


@pytest.mark.parametrize("answers", range(12))
def test_a_rotation_of_the_master_user_that_dies_goes_on(dev: Dev, power_cut: Fault, answers: int) -> None:
    with power_cut("secretsmanager", after=answers):
        try:
            dev.master_rotation().run(NO_GRACE)
        except PowerCut:
            pass
        else:
            assert answers >= 11

    dev.master_rotation().run(NO_GRACE)

    assert dev.opens(dev.in_secret(secret=MASTER_SECRET))
    assert "AWSPENDING" not in str(dev.labels(MASTER_SECRET))


# The connection is tried for 20 s.
@pytest.mark.slow
def test_a_database_that_is_away_changes_nothing(dev: Dev, session: boto3.Session) -> None:
    away = replace(dev.login, port=1)

    with pytest.raises(OrderopsError, match="no connection to database"):
        Rotation(LoginSecret(dev.aws, SECRET), ServiceUsers(away)).run(NO_GRACE)

    assert dev.opens(dev.in_secret())
    assert dev.rotation().run(NO_GRACE).state is Rotated.DONE
