"""The master user of an instance on its server, as the account has it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from orderops.local.emulator.moto_models import DBInstance
from orderops.local.rds.postgres import PostgresServer
from orderops.local.rds.roles import set_password, set_up, set_up_tokens


def apply_credentials(instance: DBInstance, server: PostgresServer, lock: AbstractContextManager[object]) -> bool:
    """Give the master user the password of the account, unless it was given already; return whether it was now.

    It is given once: SQL may change the password since, as on RDS.
    """
    with lock:
        user, password = instance.master_credentials
        name = instance.db_name
        if instance.applied_credentials == (user, password):
            return False
    if password is not None and (instance.origin or instance.replicates_from):
        # Roles and databases are part of the restored or replicated data.
        set_password(server, user, password)
        set_up_tokens(server)
    elif password is not None:
        set_up(server, user, password, name)
    with lock:
        instance.applied_credentials = (user, password)
    return True
