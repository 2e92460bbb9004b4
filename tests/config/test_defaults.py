"""The defaults of tables, which are made without being validated when a file does not name the table."""

from __future__ import annotations

import pytest

from orderops.config.environment import Environment
from orderops.config.loader import TomlTable
from orderops.config.service import ServiceConfig


def tables(model: type[TomlTable]) -> list[type[TomlTable]]:
    defaults = [field.default for field in model.model_fields.values() if isinstance(field.default, TomlTable)]
    return [type(default) for default in defaults] + [kind for default in defaults for kind in tables(type(default))]


@pytest.mark.parametrize("table", dict.fromkeys([*tables(Environment), *tables(ServiceConfig)]))
def test_a_table_that_is_left_out_is_one_that_is_empty(table: type[TomlTable]) -> None:
    assert table.model_construct() == table.model_validate({})
