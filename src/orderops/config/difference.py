"""How two environments differ, setting by setting, with every default resolved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from orderops.config.copy import settings
from orderops.config.environment import Environment
from orderops.config.loader import dotted
from orderops.frozen import Frozen

MISSING = object()
"""In place of a value where an environment has no such setting, as of a service that it does not have."""


class Setting(Frozen):
    """A setting of one environment: its value, and whether its file writes it."""

    value: Any
    written: bool

    @property
    def exists(self) -> bool:
        """Whether the environment has such a setting."""
        return self.value is not MISSING

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {"value": self.value if self.exists else None, "exists": self.exists, "written": self.written}


class SettingDifference(Frozen):
    """A setting that differs, or that is the same and written in one file only."""

    key: str
    first: Setting
    second: Setting

    @property
    def differs(self) -> bool:
        """Whether the values differ."""
        return bool(self.first.value != self.second.value)


def setting_differences(first: Environment, second: Environment) -> list[SettingDifference]:
    """The settings that differ, and those that only one file writes although the other has the same by default."""
    one, other = _settings(first), _settings(second)
    missing = Setting(MISSING, written=False)
    pairs = (
        SettingDifference(dotted(key), one.get(key, missing), other.get(key, missing))
        for key in dict.fromkeys([*one, *other])
        if key != ("name",)
    )
    return [pair for pair in pairs if pair.differs or pair.first.written != pair.second.written]


def _settings(environment: Environment) -> dict[tuple[str, ...], Setting]:
    resolved = settings(environment.model_dump(mode="json")) | _by_rule(environment)
    return {key: Setting(value, _is_written(environment, key)) for key, value in resolved.items()}


def _by_rule(environment: Environment) -> dict[tuple[str, ...], Any]:
    """Defaults that follow from other settings, which the models hold as None."""
    priorities: dict[tuple[str, ...], Any] = {
        ("services", name, "priority"): environment.routing.priority(name) for name in environment.entries
    }
    return {
        **priorities,
        ("alerts", "anomaly_detection"): environment.anomaly_detection,
        ("database", "login"): "iam" if environment.iam_login else "password",
        **{
            ("network", f"{tier}_subnets"): environment.network.subnets(tier)
            for tier in ("public", "private", "isolated")
        },
    }


def _is_written(environment: Environment, key: tuple[str, ...]) -> bool:
    value: Any = environment
    for part in key:
        if isinstance(value, BaseModel):
            if part not in value.model_fields_set:
                return False
            value = getattr(value, part)
        elif isinstance(value, Mapping):
            if part not in value:
                return False
            value = value[part]
    return True
