"""What the command line shows: tables for people, one JSON object for programs.

A table that is wider than the terminal is not squeezed: each of its rows becomes a paragraph. Values are
never read as markup.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sync_pipeline.merge.preview import shortened

if TYPE_CHECKING:
    from sync_pipeline.checkup import Finding
    from sync_pipeline.explaining import AtSource
    from sync_pipeline.merge.adopt import Note
    from sync_pipeline.merge.overview import Explanation
    from sync_pipeline.merge.undo import Undone
    from sync_pipeline.orchestration.runs import RunReport

Row = Mapping[str, Any]

SIDES = ("local", "base", "source")
PIPE_WIDTH = 140  # columns where nobody's terminal sets a limit
MOST_ERRORS = 20
MOST_CHANGES = 20
STYLES = {"completed": "green", "partial_success": "yellow", "failed": "red", "running": "cyan"}


def to_stdout() -> Console:
    """Where results go."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def to_stderr() -> Console:
    """Where progress and errors go."""
    width = None if sys.stderr.isatty() else PIPE_WIDTH
    return Console(stderr=True, width=width, highlight=False, markup=False, emoji=False)


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    sys.stdout.buffer.write(orjson.dumps(value, default=_plain, option=options) + b"\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)


# -- runs


def run_report(console: Console, report: RunReport, *, system: str) -> None:
    """A run: the identity of each entity, patches, packages, what was planned, problems, the outcome."""
    if report.entities:
        _counts(console, report, system)
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
    console.print(
        f"{status} in {report.duration_ms / 1000:.1f} s, {report.api_calls:,} API calls, run {report.run_id}",
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
    table = _table(f"{system}: read = the sum of the rest, for every row")
    table.add_column("entity")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("balanced")
    for entity, counts in rows.items():
        shown = [f"{counts[name]:,}" if counts[name] else "·" for name in names]
        outcome = _outcome(report, entity)
        table.add_row(entity, *shown, Text(outcome, style="" if outcome == "yes" else "red"))
    if _fits(console, table):
        console.print(table)
        return
    console.print(
        f"{system}: every record that was read is in exactly one of the counts", style="bold"
    )
    for entity, counts in rows.items():
        outcome = _outcome(report, entity)
        marks = {"yes": "", "NO": "  NOT BALANCED"}
        _equation(console, entity, "read", counts, mark=marks.get(outcome, f"  {outcome}"))


def _outcome(report: RunReport, entity: str) -> str:
    """Whether an entity's counts are balanced, or why they do not matter."""
    [status] = (s["status"] for s in report.steps if s["action"] == f"merge {entity}")
    if status in {"failed", "stopped"}:
        return status
    counts = report.entities[entity]
    return "yes" if counts["read"] == sum(counts.values()) - counts["read"] else "NO"


def _patches(console: Console, report: RunReport) -> None:
    outcomes = ("candidates", "set", "same", "not_found", "conflict", "no_candidate", "ties")
    rows = report.patches
    names = [n for n in outcomes if n in outcomes[:3] or any(f.get(n) for f in rows.values())]
    table = _table("patches")
    table.add_column("patch")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for patch, facts in rows.items():
        table.add_row(patch, *(f"{facts[n]:,}" if facts.get(n) else "·" for n in names))
    if _fits(console, table):
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
    console.print(_indented(f"{label}: {text}", 2, style="red" if mark else ""))


def _plans(console: Console, report: RunReport) -> None:
    """What was only planned; a plan that changes nothing needs no approval and is not shown."""
    held = {s["action"].removeprefix("merge "): s["status"] for s in report.steps}
    for entity, digest in report.plans.items():
        changes = report.changes.get(entity, [])
        changing = changes or report.entities[entity]["inserted"]
        if held[entity] not in {"planned", "stopped"} or not changing:
            continue
        console.print(f"Plan of {entity}: {digest}", style="cyan")
        for key, _, column, old, new in changes[:MOST_CHANGES]:
            console.print(f"  {key}  {column}: {old} → {new}", soft_wrap=True)
        if len(changes) > MOST_CHANGES:
            console.print(f"  … the first {MOST_CHANGES} field changes; more with --json")
    if "planned" in held.values() and not report.stopped:
        console.print("This was a dry run: nothing was written.", style="cyan")


def hints(console: Console, reports: Sequence[RunReport]) -> None:
    """What to make of a demo, and where to go from it."""
    rejected = sum(counts["rejected"] for r in reports for counts in r.entities.values())
    program = "sync-pipeline" if shutil.which("sync-pipeline") else os.path.relpath(sys.argv[0])
    shown = {
        f"{program} rejected": "records that could not be merged, and why",
        f"{program} conflicts": "what both sides claim",
        f"{program} history": "the runs so far",
        f"{program} up": "the same with the Dagster UI",
    }
    console.print()
    if rejected:
        console.print(
            f"The simulated company holds {rejected} records that nobody could convert. They were kept with"
            " their reasons, and the rest went on."
        )
    console.print("Where to look next, on the tables as they are now:")
    width = max(map(len, shown))
    for command, what in shown.items():
        console.print(f"  {command:{width}}  {what}", soft_wrap=True)


def runs(console: Console, rows: Sequence[Row]) -> None:
    """The history."""
    shown = [
        {
            "run": str(row["run_id"])[:8],
            "started (UTC)": _shown(row["created_at"]),
            "type": row["sync_type"],
            "status": row["status"].replace("_", " "),
            "read": _count(row["items_processed"]),
            "new": _count(row["items_created"]),
            "changed": _count(row["items_updated"]),
            "held": _count(row["items_failed"]),
            "seconds": "" if row["duration_ms"] is None else f"{row['duration_ms'] / 1000:.1f}",
        }
        for row in rows
    ]
    if not shown:
        console.print("Nothing was synced yet: sync-pipeline sync bubble")
        return
    numbers = ("read", "new", "changed", "held", "seconds")
    listing(console, shown, tuple(shown[0]), empty="", heading=4, right=numbers)
    console.print(
        "held: rejected or parked. One run in full: sync-pipeline history RUN", style="dim"
    )


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def undone(console: Console, results: Mapping[str, Undone], run_id: UUID, undo_id: UUID) -> None:
    """What an undo did."""
    names = ("entity", "restored", "deleted", "reinserted", "kept")
    rows = [{"entity": name, **vars(r)} for name, r in results.items()]
    listing(console, rows, names, empty=f"Run {run_id} wrote nothing; nothing to undo.")
    for name, result in results.items():
        for example in result.examples:
            console.print(f"• {name} {example}", style="yellow", soft_wrap=True)
    if any(r.kept for r in results.values()):
        console.print("Rows that hold something newer were kept as they are.", style="yellow")
    if results:
        console.print(f"Run {run_id} was taken back. To redo it: sync-pipeline undo {undo_id}")


# -- the target


def migration(console: Console, notes: Sequence[Note]) -> None:
    """What a migration did and left."""
    if not notes:
        console.print("The target is at head; nothing to do.")
        return
    styles = {"created": "green", "differs": "yellow", "refused": "red"}
    for note in notes:
        head = Text(f"{note.kind}  ", style=styles[note.kind])
        console.print(
            head.append(f"{note.table}: ", style="bold").append(note.text), soft_wrap=True
        )
    created, differs, refused = (sum(n.kind == kind for n in notes) for kind in styles)
    console.print(
        f"{created} created, {differs} left as they are although they differ, {refused} refused by the data."
    )


def findings(console: Console, found: Sequence[Finding]) -> None:
    """What the doctor found, the worst first, each with its remedy."""
    styles = {"error": "red", "warning": "yellow", "note": "dim"}
    for finding in sorted(found, key=lambda f: list(styles).index(f.severity)):
        head = Text(f"{finding.severity:8}", style=styles[finding.severity])
        console.print(head.append(f"{finding.where}: ", style="bold").append(finding.problem))
        console.print(_indented(f"→ {finding.remedy}", 8))
    errors, warnings = (sum(f.severity == s for f in found) for s in ("error", "warning"))
    if errors:
        console.print(f"Errors that keep runs from succeeding: {errors}", style="red")
    elif warnings:
        console.print(
            f"Runs will succeed. Warnings that are worth a look: {warnings}", style="yellow"
        )
    else:
        console.print("All is well: target and sources are ready.", style="green")


# -- rows that wait for people


def conflicts(console: Console, rows: Sequence[Row]) -> None:
    """What both sides claim, a paragraph each."""
    for row in rows:
        where = f"{row['system']}/{row['entity']} {_shown(row['key'])}"
        head = Text(f"{row['id']}  ", style="bold cyan").append(where, style="bold")
        console.print(head.append(f"  {row['field'] or row['kind']}, kept {row['kept']}"))
        sides = [f"{side} {shortened(row[side])}" for side in SIDES]
        console.print(_indented(f"{'  '.join(sides)}  {_shown(row['created_at'])}"))
    if rows:
        console.print(
            "To settle one: sync-pipeline conflicts --take source ID, or --take local ID",
            style="dim",
        )
    else:
        console.print("There are no conflicts.")


def explanation(
    console: Console, title: str, found: Explanation, at_source: AtSource | None
) -> None:
    """One row from all sides; what all sides agree on is shown once."""
    filled = [row for row in found.fields if any(row[s] is not None for s in SIDES)]
    rows = [_sides(row, at_source) for row in filled]
    table = _table(title)
    for name in ("field", "local", "base", "source", "written by"):
        table.add_column(name)
    for row in rows:
        table.add_row(*row, style="" if row[2] == "=" else "yellow")
    if _fits(console, table):
        console.print(table)
    else:
        console.print(title, style="bold")
        for name, local, base, source, _ in rows:
            others = [f"{side} {value}" for side, value in (("base", base), ("source", source))]
            differing = [other for other in others if other.split()[1:] not in ([], ["="])]
            style = "" if base == "=" else "yellow"
            console.print(_indented("  ".join([f"{name}: {local}", *differing]), 2, style=style))
    console.print(
        "=: the same as local. Fields that are empty on every side are not shown.", style="dim"
    )
    for line in _remarks(found, at_source):
        console.print(line, style="yellow", soft_wrap=True)


def _sides(row: Row, at_source: AtSource | None) -> list[str]:
    local, base, source = row["local"], row["base"], row["source"]
    return [
        row["column"],
        shortened(local),
        "=" if base == local else shortened(base),
        "" if not at_source or at_source.problem else "=" if source == local else shortened(source),
        (row["written_by"] or "")[:8],
    ]


def _remarks(found: Explanation, at_source: AtSource | None) -> Iterable[str]:
    if not found.on_target and found.in_base:
        yield "The row is not on the target: it was deleted locally and stays deleted."
    elif not found.on_target:
        yield "The row is not on the target."
    elif not found.in_base:
        yield "No sync has delivered this row yet; the first one that does is its first contact."
    elif any(row["local"] != row["base"] for row in found.fields):
        yield "Yellow: a local override; the next sync keeps it unless the source changes the field."
    if found.marks.get("_missing_since"):
        yield f"The source no longer has it, since {_shown(found.marks['_missing_since'])} (UTC)."
    if found.rejected:
        yield f"Its last record was rejected: {found.rejected}"
    if at_source and at_source.problem:
        yield f"The source was not shown: {at_source.problem}"
    for conflict in found.conflicts:
        yield (
            f"Conflict {conflict['id']} on {conflict['field'] or conflict['kind']}: local"
            f" {shortened(conflict['local'])}, source {shortened(conflict['source'])},"
            f" kept {conflict['kept']}"
        )


def cut_short(console: Console, count: int, limit: int) -> None:
    """Say that a list may go on."""
    if count >= limit:
        console.print(f"The first {limit:,} are shown; see more with --limit.", style="dim")


# -- tables


def listing(
    console: Console,
    rows: Iterable[Row],
    names: Sequence[str],
    *,
    empty: str,
    heading: int = 2,
    right: Sequence[str] = (),
) -> None:
    """Rows as a table, or as paragraphs where that is too wide, or a sentence when there are none.

    Args:
        console: where to.
        rows: the values by name.
        names: the columns; those that are empty throughout are left out.
        empty: what to say when there are no rows.
        heading: so many of the first columns head a paragraph, without their names.
        right: columns of numbers.
    """
    found = [{name: _shown(row.get(name)) for name in names} for row in rows]
    if not found:
        console.print(empty)
        return
    table = _table()
    filled = [name for name in names if any(row[name] for row in found)]
    for name in filled:
        number = name in right or all(row[name].isdecimal() for row in found)
        table.add_column(name.replace("_", " "), justify="right" if number else "left")
    for row in found:
        table.add_row(*(row[name] for name in filled))
    if _fits(console, table):
        console.print(table)
        return
    for row in found:
        console.print("  ".join(row[name] for name in names[:heading] if row[name]), style="bold")
        rest = (f"{name.replace('_', ' ')} {row[name]}" for name in names[heading:] if row[name])
        console.print(_indented("  ".join(rest)))


def _table(title: str | None = None) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )


def _indented(text: str, by: int = 4, *, style: str = "") -> Padding:
    return Padding(Text(text, style=style), (0, 0, 0, by), expand=False)


def _fits(console: Console, table: Table) -> bool:
    endless = console.options.update(max_width=10_000)
    return Measurement.get(console, endless, table).maximum <= console.width


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        parts = [shortened(v) for v in value.values()]
        text = ", ".join(parts)
        return text if len(text) <= 120 else text[:119] + "…"
    if hasattr(value, "strftime"):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return "" if value is None else str(value)
