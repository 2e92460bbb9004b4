"""The accounts that hold the environment dev."""

from __future__ import annotations

from support.dev_accounts import _dev_accounts, dev_infra, dev_released

__all__ = ["_dev_accounts", "dev_infra", "dev_released"]
