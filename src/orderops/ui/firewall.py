"""What a web ACL blocked and counted, on the terminal."""

from __future__ import annotations

from orderops.reports.firewall import FirewallReport, RuleHits
from orderops.text.lists import counted
from orderops.ui.console import data, info, info_folded, out, out_cut
from orderops.ui.escaping import escape

SHOWN = 3
"""Paths and addresses that are shown for each rule."""


def show_firewall(report: FirewallReport) -> None:
    """Show each rule with its paths and addresses, and on stderr what to type next."""
    since = f"since {report.since:%Y-%m-%dT%H:%M:%SZ}"
    data(
        f"{report.environment} in mode {report.mode}, {since}: {counted(report.would_block, 'request')} would have "
        f"been blocked, {report.blocked} blocked"
    )
    for hits in report.rules:
        _show_rule(hits)
    if report.not_judged:
        info_folded(f"not judged on the laptop, since only AWS knows their rules: {', '.join(report.not_judged)}")
    if not report.complete:
        info_folded("the log has more records than were read: ask for less with --since")
    _show_next(report)


def _show_rule(hits: RuleHits) -> None:
    group = f" of {hits.group}" if hits.group else ""
    numbers = {"counted": hits.would_block, "blocked": hits.blocked}
    shown = ", ".join(f"{number:,} {what}" for what, number in numbers.items() if number)
    out.print(f"[bold]{escape(hits.rule)}[/]{escape(group)}: {escape(shown)}")
    for path, number in hits.paths.most_common(SHOWN):
        out_cut(escape(f"    {number:6} on {path}"))
    for (address, country), number in hits.addresses.most_common(SHOWN):
        out_cut(escape(f"    {number:6} from {address}{f' ({country})' if country else ''}"))


def _show_next(report: FirewallReport) -> None:
    counting = [hits for hits in report.rules if hits.would_block or hits.blocked]
    if counting:
        hits = counting[0]
        paths = ", ".join(f'"{path}"' for path, _ in hits.paths.most_common(SHOWN))
        info_folded("requests of your own clients among them? Except the rule there, in the file of the environment:")
        for line in (f"[waf.exceptions.{hits.rule}]", f"paths = [{paths}]", 'reason = "WHY"'):
            info(f"    {line}")
    if report.mode == "count":
        info_folded('none of your own, or all excepted? Block: mode = "block" in [waf], then: orderops up')
