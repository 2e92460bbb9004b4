"""Lines of access logs."""

from __future__ import annotations

from orderops.local.apigateway.log_lines import line_of


def test_variables_are_filled_in_and_unknown_ones_are_a_dash() -> None:
    form = '{"a":"$context.status","b":"$context.authorizer.error","c":"$context.other"} $context.status'

    line = line_of(form, {"status": "200", "authorizer.error": 'x"\n\\y'})

    assert line == '{"a":"200","b":"x   y","c":"-"} 200'
