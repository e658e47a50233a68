"""One run: what became of every record, what was planned, what went wrong, and how it ended."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from sync_pipeline.cli.output.tables import fits, indented, plain_table

if TYPE_CHECKING:
    from sync_pipeline.orchestration.run_report import RunReport

MOST_ERRORS = 20
MOST_CHANGES = 20
STYLES = {"completed": "green", "partial_success": "yellow", "failed": "red", "running": "cyan"}


def run_report(console: Console, report: RunReport, *, system: str) -> None:
    """A run: the identity of each entity, patches, packages, what was planned, problems, the outcome."""
    if report.entities:
        _counts(console, report, system)
    elif not report.errors:
        console.print(f"{system}: there was nothing to sync", style="bold")
    if report.patches:
        console.print()
        _patches(console, report)
    console.print()
    if report.packages:
        packages = report.packages
        console.print(
            f"Packages: {packages['total']:,} invoices, {packages['synced']:,} synced,"
            f" {packages['skipped']:,} up to date, {packages['failed']:,} failed."
        )
    _plans(console, report)
    if report.skipped:
        names = ", ".join(report.skipped)
        console.print(f"Not run, because what they build on failed: {names}", style="red")
    for error in report.errors[:MOST_ERRORS]:
        console.print(f"• {error}", style="yellow", soft_wrap=True)
    if len(report.errors) > MOST_ERRORS:
        console.print(f"… and {len(report.errors) - MOST_ERRORS:,} more; see --json")
    status = "stopped by the guard" if report.stopped else report.status.replace("_", " ")
    calls = "1 call" if report.api_calls == 1 else f"{report.api_calls:,} calls"
    console.print(
        f"{status} in {report.duration_ms / 1000:.1f} s, {calls} to the source, run {report.run_id}",
        style=STYLES[report.status],
        soft_wrap=True,
    )


def approval(console: Console, report: RunReport, arguments: Sequence[str]) -> None:
    """The command that lets the stopped plans pass, as it is typed."""
    stopped = {s["action"].removeprefix("merge ") for s in report.steps if s["status"] == "stopped"}
    digests = [
        f"--approve {digest}" for entity, digest in report.plans.items() if entity in stopped
    ]
    if digests:
        again = " ".join(["sync-pipeline", shlex.join(arguments), *digests])
        console.print(f"If this is meant: {again}", style="yellow", soft_wrap=True)


def _counts(console: Console, report: RunReport, system: str) -> None:
    """A column for each term of the identity that is not zero throughout."""
    rows = report.entities
    always = ("read", "inserted", "updated", "unchanged")
    names = [
        n for n in next(iter(rows.values())) if n in always or any(c[n] for c in rows.values())
    ]
    table = plain_table()
    table.add_column("entity")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("balanced")
    for entity, counts in rows.items():
        shown = [f"{counts[name]:,}" if counts[name] else "·" for name in names]
        outcome = _outcome(report, entity)
        table.add_row(entity, *shown, Text(outcome, style="" if outcome == "yes" else "red"))
    if fits(console, table):
        heading = f"{system}: read = the sum of the rest, for every row"
        console.print(heading, style="bold", soft_wrap=True)
        console.print(table)
        return
    heading = f"{system}: every record that was read is in exactly one of the counts"
    console.print(heading, style="bold")
    for entity, counts in rows.items():
        outcome = _outcome(report, entity)
        marks = {"yes": "", "NO": "  NOT BALANCED"}
        _equation(console, entity, "read", counts, mark=marks.get(outcome, f"  {outcome}"))


def _outcome(report: RunReport, entity: str) -> str:
    """Whether an entity's counts are balanced, or why they do not matter."""
    merges = [s for s in report.steps if s["entity"] == entity and s["action"].startswith("merge ")]
    for status in ("failed", "stopped"):
        bad = sum(step["status"] == status for step in merges)
        if bad:
            return status if bad == len(merges) else f"{bad} of {len(merges)} {status}"
    counts = report.entities[entity]
    return "yes" if counts["read"] == sum(counts.values()) - counts["read"] else "NO"


def _patches(console: Console, report: RunReport) -> None:
    outcomes = ("candidates", "set", "same", "not_found", "conflict", "no_candidate", "ties")
    rows = report.patches
    names = [n for n in outcomes if n in outcomes[:3] or any(f.get(n) for f in rows.values())]
    table = plain_table("patches")
    table.add_column("patch")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for patch, facts in rows.items():
        table.add_row(patch, *(f"{facts[n]:,}" if facts.get(n) else "·" for n in names))
    if fits(console, table):
        console.print(table)
        return
    console.print("patches", style="bold")
    for patch, facts in rows.items():
        _equation(console, patch, "candidates", {n: facts.get(n, 0) for n in names})


def _equation(
    console: Console, label: str, whole: str, counts: Mapping[str, int], *, mark: str = ""
) -> None:
    parts = [f"{n:,} {name.replace('_', ' ')}" for name, n in counts.items() if n and name != whole]
    text = f"{counts[whole]:,} {whole}{' = ' if parts else ''}{' + '.join(parts)}{mark}"
    console.print(indented(f"{label}: {text}", 2, style="red" if mark else ""))


def _plans(console: Console, report: RunReport) -> None:
    """What was only planned; a plan that changes nothing needs no approval and is not shown."""
    held = {s["action"].removeprefix("merge "): s["status"] for s in report.steps}
    for entity, digest in report.plans.items():
        changes = report.changes.get(entity, [])
        changing = changes or report.entities[entity.partition(" ")[0]]["inserted"]
        if held[entity] not in {"planned", "stopped"} or not changing:
            continue
        console.print(f"Plan of {entity}: {digest}", style="cyan")
        for key, _, column, old, new in changes[:MOST_CHANGES]:
            console.print(f"  {key}  {column}: {old} → {new}", soft_wrap=True)
        if len(changes) > MOST_CHANGES:
            console.print(f"  … the first {MOST_CHANGES} field changes; more with --json")
    if "planned" in held.values() and not report.stopped:
        console.print("This was a dry run: nothing was written.", style="cyan")
