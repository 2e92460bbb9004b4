"""Messages of queues on the terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby

from orderops.queues.messages import QueuedMessage
from orderops.ui import console
from orderops.ui.console import out, out_cut
from orderops.ui.escaping import escape

SHOWN = 5
"""Messages of each reason that are listed one by one."""


def show_reasons(messages: Sequence[QueuedMessage]) -> None:
    """Show messages by reason, the most frequent first, with the first of each."""
    by_reason = {
        reason: list(group)
        for reason, group in groupby(sorted(messages, key=lambda message: message.reason), lambda one: one.reason)
    }
    for reason, group in sorted(by_reason.items(), key=lambda pair: -len(pair[1])):
        out.print(f"[bold]{escape(str(len(group)))}[/] {escape(reason)}")
        for message in group[:SHOWN]:
            out_cut(escape("  " + "  ".join(filter(None, (message.id, _time(message), message.detail)))))
        if len(group) > SHOWN:
            out.print(escape(f"  and {len(group) - SHOWN} more"))


def show_messages(messages: Sequence[QueuedMessage]) -> None:
    """Show each message in a line: id, time, receives and the beginning of its body."""
    for message in messages:
        body = " ".join(message.body.split())
        out_cut(escape(f"{message.id}  {_time(message)}  {message.receives} receives  {body}"))


def show_message(message: QueuedMessage) -> None:
    """Show one message with its whole body, JSON on several lines."""
    console.data(f"id        {message.id}")
    console.data(f"sent      {_time(message)}")
    console.data(f"receives  {message.receives}")
    console.data(f"reason    {message.reason}")
    if message.detail:
        console.data(f"detail    {message.detail}")
    try:
        body = json.dumps(json.loads(message.body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        body = message.body
    for line in body.splitlines():
        console.data(line)


def _time(message: QueuedMessage) -> str:
    return f"{message.sent_at:%Y-%m-%dT%H:%M:%SZ}"
