"""Proof of the rotation of passwords and of the change to tokens: an emulated account whose database is a real server.

Besides what every proof compares, a client logs in all the while with what the secret of the services says, as a task
does that has read it half a second ago.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import moto.rds.models
import psycopg
import pytest
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from psycopg import sql

from orderops.local.ports import free_port
from orderops.local.rds import roles
from orderops.local.rds.certificates import certificate_file
from orderops.local.rds.gateway import Gateway
from orderops.local.rds.postgres import PostgresServer
from support.faulty_proxy import Proxy
from support.proof import FIRST, Proof, Undisturbed, Verdict, Workflow
from support.repository import ENVIRONMENTS, SQL

REGION, MASTER = "ap-southeast-2", "orderops"
USERS, TOKENS = ("orderops_service", "orderops_service_b"), "orderops_service_iam"
SECRETS = {"services": "orderops/dev/database-login", "master": "orderops/dev/database-master"}
STALE_SECONDS = 0.5
"""How old what a client knows of the secret may be; less than the grace of the workflow."""


def rotation(folder: Path, port: int) -> Workflow:
    """The rotation of both passwords of dev, whose database answers at this port of the machine."""
    where = _dev(folder, port, login="password")
    before = [("up", *where, "--image", FIRST), ("migrate", "grant", *where, "--sql", str(SQL))]
    return Workflow("rotate", ("database", "rotate", "--grace", "1s", "--if-older", "1h", *where), before)


def change_to_tokens(folder: Path, port: int) -> Workflow:
    """The change of dev's services from passwords to tokens of IAM."""
    where, then = _dev(folder / "password", port, login="password"), _dev(folder / "iam", port, login="iam")
    before = [("up", *where, "--image", FIRST), ("migrate", "grant", *where, "--sql", str(SQL))]
    return Workflow("tokens", ("migrate", "grant", *then, "--sql", str(SQL)), before)


def _dev(folder: Path, port: int, login: str) -> tuple[str, ...]:
    """The options of dev with its database at this port of the machine, behind a gateway that offers TLS."""
    shutil.copytree(ENVIRONMENTS, folder)
    file = folder / "dev.toml"
    text = file.read_text()
    own = f'[database]\nport = {port}\nsslmode = "require"\nmaster = "own"\nlogin = "{login}"\n'
    file.write_text(text.replace('access = "task"', 'access = "direct"').replace("[database]\n", own))
    return ("--env", "dev", "--environments", str(folder), "--yes")


class RotationProof(Proof):
    """Tries the rotation, or the change to tokens, on one emulated account and one server."""

    def __init__(self, proxy: Proxy, logs: Path, server: PostgresServer, *, by_tokens: bool = False) -> None:
        super().__init__(proxy, logs)
        self._server = server
        self._by_tokens = by_tokens
        self._first: dict[str, Any] = {}

    def undisturbed(self, workflow: Workflow) -> Undisturbed:
        """Return the undisturbed run of the workflow, recorded once."""
        if not self._first:
            self.proxy.reset()
        return super().undisturbed(workflow)

    def tried(self, workflow: Workflow, name: str, disturb: Callable[[Proof, Workflow], bool]) -> Verdict:
        """Try it from the first passwords on. A login that failed meanwhile is a difference, and so is a third one."""
        self.undisturbed(workflow)
        self._reset_server()
        refused: list[str] = []

        def watched(proof: Proof, workflow: Workflow) -> bool:
            with self._logging_in(refused):
                return disturb(proof, workflow)

        verdict = super().tried(workflow, name, watched)
        differs = [verdict.differs] if verdict.differs else []
        return replace(verdict, differs="; ".join([*differs, *refused[:3], *self._left_open()]))

    def _in_peace(self, argv: Sequence[str]) -> None:
        super()._in_peace(argv)
        if argv[0] == "up":
            # What RDS does with the password of ModifyDBInstance.
            login = self._current("master")
            roles.set_up(self._server, MASTER, login["password"], "orders")
            roles.set_password(self._server, MASTER, login["password"])
        if argv[:2] == ("migrate", "grant"):
            self._first = {who: self._current(who) for who in SECRETS}
            # Old enough to be due; a password of a run is not.
            with self.proxy.held():
                for name in SECRETS.values():
                    for version in self._secrets()[name].versions.values():
                        version["createdate"] -= 7200

    def _reset_server(self) -> None:
        """Give the server the users and passwords of the account's initial state."""
        roles.set_password(self._server, MASTER, self._first["master"]["password"])
        with self._server.connect("orders") as session:
            for user in (USERS[1], TOKENS):
                session.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(user)))
            session.execute(sql.SQL("alter role {} login").format(sql.Identifier(USERS[0])))
        roles.set_password(self._server, USERS[0], self._first["services"]["password"])

    @contextmanager
    def _logging_in(self, refused: list[str]) -> Iterator[None]:
        ended = threading.Event()

        def log_in() -> None:
            while not ended.wait(0.05):
                login = self._current("services")
                time.sleep(STALE_SECONDS)
                if not self._opens(login):
                    refused.append(f"{login['username']} was refused {STALE_SECONDS} s after the secret was read")

        clients = [threading.Thread(target=log_in) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            ended.set()
            for client in clients:
                client.join()

    def _left_open(self) -> Iterator[str]:
        """What is left although the rotation has ended: another user that logs in, or a label."""
        login = self._current("services")
        if not self._opens(login) or not self._opens(self._current("master")):
            yield "a secret does not open the database"
        with self._server.connect("orders") as session:
            rows = session.execute("select rolname from pg_roles where rolcanlogin and rolname ~ 'orderops_service'")
            open_users = sorted(name for (name,) in rows)
        if open_users != sorted([login["username"], *([TOKENS] if self._by_tokens else [])]):
            yield f"users that log in: {open_users}, and the secret names {login['username']}"
        for who in SECRETS:
            if any("AWSPENDING" in version["version_stages"] for version in self._versions(who)):
                yield f"AWSPENDING is left in the secret of the {who}"

    def _opens(self, login: dict[str, Any]) -> bool:
        where = self._server.dsn("orders")
        try:
            psycopg.connect(where, user=login["username"], password=login["password"]).close()
        except psycopg.OperationalError:
            return False
        return True

    def _current(self, who: str) -> dict[str, Any]:
        [version] = [version for version in self._versions(who) if "AWSCURRENT" in version["version_stages"]]
        value: dict[str, Any] = json.loads(version["secret_string"])
        return value

    def _versions(self, who: str) -> list[dict[str, Any]]:
        # Read past the proxy, whose faults are for the command.
        with self.proxy.held():
            versions = self._secrets()[SECRETS[who]].versions.values()
            return [{**version, "version_stages": [*version["version_stages"]]} for version in versions]

    @staticmethod
    def _secrets() -> Any:
        return get_backend("secretsmanager")[DEFAULT_ACCOUNT_ID][REGION].secrets


@contextmanager
def gateway(server: PostgresServer, folder: Path) -> Iterator[int]:
    """The port of a gateway that offers TLS in front of a server."""
    opened = Gateway(server, certificate_file(folder / "certificate.pem"), lambda token, user: "")
    opened.open(free_port())
    try:
        yield opened.port
    finally:
        opened.close()


@contextmanager
def databases_here() -> Iterator[None]:
    """Let every instance of the emulated account answer on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moto.rds.models.DBInstance, "address", property(lambda instance: "127.0.0.1"))
        yield
