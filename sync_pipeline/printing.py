"""What the command line shows: tables for people, one JSON object for programs."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from sync_pipeline.merge.overview import Explanation
from sync_pipeline.merge.preview import shortened
from sync_pipeline.orchestration.runs import RunReport

_ABBREVIATED = {
    "unchanged": "un-\nchanged",
    "conflicted": "con-\nflicted",
    "owned_elsewhere": "owned\nelsewhere",
    "deleted_locally": "deleted\nlocally",
    "duplicates": "dupli-\ncates",
}


def to_stdout() -> Console:
    """Where results go. A pipe gets room enough for every column."""
    return Console(width=None if sys.stdout.isatty() else 140, highlight=False)


def to_stderr() -> Console:
    """Where progress and errors go."""
    return Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 140)


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    sys.stdout.buffer.write(orjson.dumps(value, default=_plain, option=options) + b"\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)


def run_report(console: Console, report: RunReport, *, system: str) -> None:
    """A run: one line per entity with the terms of the identity, then patches, packages and problems."""
    if report.entities:
        console.print(_counts_table(report, system))
    if report.patches:
        console.print(_patches_table(report))
    if report.packages:
        packages = report.packages
        console.print(
            f"Packages: {packages['total']} invoices, {packages['synced']} synced, {packages['skipped']}"
            f" up to date, {packages['failed']} failed."
        )
    for entity, digest in report.plans.items():
        console.print(f"Plan of {entity}: {digest}", style="yellow")
    for error in report.errors[:20]:
        console.print(f"• {error}", style="yellow", markup=False)
    if len(report.errors) > 20:
        console.print(f"… and {len(report.errors) - 20} more; see --json")
    style = {"completed": "green", "partial_success": "yellow", "failed": "red"}[report.status]
    status = "stopped by the guard" if report.stopped else report.status.replace("_", " ")
    console.print(
        f"{status} in {report.duration_ms / 1000:.1f} s, {report.api_calls} API calls, run {report.run_id}",
        style=style,
    )


def _counts_table(report: RunReport, system: str) -> Table:
    table = Table(
        title=f"{system}: read = the sum of the rest, for every row", title_justify="left"
    )
    table.add_column("entity")
    names = list(next(iter(report.entities.values())))
    for name in names:
        table.add_column(_ABBREVIATED.get(name, name), justify="right")
    table.add_column("balanced")
    for entity, counts in report.entities.items():
        balanced = counts["read"] == sum(n for name, n in counts.items() if name != "read")
        shown = [f"{counts[name]:,}" if counts[name] else "·" for name in names]
        table.add_row(entity, *shown, "yes" if balanced else "[red]NO[/red]")
    return table


def _patches_table(report: RunReport) -> Table:
    table = Table(title="patches", title_justify="left")
    outcomes = ("candidates", "set", "same", "not_found", "conflict", "no_candidate", "ties")
    table.add_column("patch")
    for name in outcomes:
        table.add_column(name.replace("_", " "), justify="right")
    for patch, facts in report.patches.items():
        table.add_row(patch, *(f"{facts[n]:,}" if facts.get(n) else "·" for n in outcomes))
    return table


def listing(
    console: Console, rows: Iterable[Mapping[str, Any]], names: Sequence[str], *, empty: str
) -> None:
    """Rows as a table, or a sentence when there are none."""
    found = list(rows)
    if not found:
        console.print(empty)
        return
    table = Table(show_lines=False)
    for name in names:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in found:
        table.add_row(*(_shown(row.get(name)) for name in names))
    console.print(table)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        value = ", ".join(f"{k}={shortened(v)}" for k, v in value.items())
        return value if len(value) <= 120 else value[:119] + "…"
    if hasattr(value, "strftime"):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return "" if value is None else str(value)


def explanation(console: Console, found: Explanation, problem: str | None) -> None:
    """One row from all sides."""
    table = Table()
    for name in ("field", "local", "base", "source", "written by"):
        table.add_column(name, overflow="fold")
    for row in found.fields:
        values = [shortened(row[name]) for name in ("local", "base", "source")]
        differs = row["local"] != row["base"]
        writer = (row["written_by"] or "")[:8]
        table.add_row(row["column"], *values, writer, style="yellow" if differs else None)
    console.print(table)
    console.print(
        "Yellow: a local override; the next sync keeps it unless the source changes the field."
    )
    if not found.on_target:
        console.print(
            "The row is not on the target: it was deleted locally and stays deleted.",
            style="yellow",
        )
    if found.marks.get("_missing_since"):
        console.print(
            f"The source no longer has it, since {found.marks['_missing_since']}.", style="yellow"
        )
    if found.rejected:
        console.print(
            f"Its last record was rejected: {found.rejected}", style="yellow", markup=False
        )
    if problem:
        console.print(f"The source was not shown: {problem}", style="yellow", markup=False)
    for conflict in found.conflicts:
        console.print(
            f"Conflict {conflict['id']} on {conflict['field'] or conflict['kind']}: local"
            f" {shortened(conflict['local'])}, source {shortened(conflict['source'])},"
            f" kept {conflict['kept']}",
            style="yellow",
            markup=False,
        )
