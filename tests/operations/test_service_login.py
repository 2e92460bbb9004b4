"""What a remote job has made of the roles of the services, which depends on the orderops in the service's image."""

from __future__ import annotations

import pytest

from orderops.operations.service_login import MadeRoles
from orderops.remote.job import JobResult


@pytest.mark.parametrize(
    ("result", "tokens"),
    [
        pytest.param(None, False, id="an older orderops says nothing"),
        pytest.param({"login_with_tokens": False}, False, id="the role was not wanted"),
        pytest.param({"login_with_tokens": True}, True, id="the role was made"),
    ],
)
def test_a_role_for_tokens_counts_only_if_the_job_says_that_it_made_it(
    result: dict[str, bool] | None, tokens: bool
) -> None:
    made = MadeRoles()

    made.read(JobResult(0, result))

    assert made.tokens is tokens
