"""A confirmed plan covers only the pending changes that it showed."""

from __future__ import annotations

import pytest

from orderops.engine.resource import Effect, PendingChange
from orderops.engine.step import Action, Step
from orderops.errors import OrderopsError
from orderops.operations.guarded import check_covered

CLASS = PendingChange("DBInstanceClass", "DBInstanceClass a -> b", Effect.INTERRUPTS, "the window", "aws …")
GROWS = Step("rds-instance/orders", Action.UPDATE, {"AllocatedStorage": (20, 40)})


def carrying(*changes: PendingChange) -> Step:
    """The same step, with what it carries out."""
    return Step(GROWS.address, GROWS.action, GROWS.changes, carried=changes)


def test_a_pending_change_that_appears_after_the_question_is_not_carried_out_unasked() -> None:
    with pytest.raises(OrderopsError, match="changed while you decided; nothing was changed"):
        check_covered([GROWS], [carrying(CLASS)])


def test_a_pending_change_that_was_shown_or_has_gone_is_covered() -> None:
    check_covered([carrying(CLASS)], [carrying(CLASS)])
    check_covered([carrying(CLASS)], [GROWS])
