"""Rows that wait for people: conflicts, and one row from all sides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from sync_pipeline.cli.output.tables import Row, as_text, fits, indented, plain_table
from sync_pipeline.merge.preview import shortened
from sync_pipeline.remedies import command_line

if TYPE_CHECKING:
    from sync_pipeline.cli.source_record import AtSource
    from sync_pipeline.merge.review.explain import Explanation

SIDES = ("local", "base", "source")


def conflicts(console: Console, rows: Sequence[Row], *, reverse: bool = False) -> None:
    """A paragraph for each conflict."""
    for row in rows:
        where = f"{row['system']}/{row['entity']} {as_text(row['key'])}"
        head = Text(f"{row['id']}  ", style="bold cyan").append(where, style="bold")
        console.print(head.append(f"  {row['field'] or row['kind']}, kept {row['kept']}"))
        sides = [f"{side} {shortened(row[side])}" for side in SIDES]
        console.print(indented(f"{'  '.join(sides)}  {as_text(row['created_at'])}"))
    if rows:
        command = command_line("conflicts --take source ID", reverse=reverse)
        console.print(f"To resolve one: {command}, or --take local ID", style="dim")
    else:
        console.print("There are no conflicts.")


def explanation(
    console: Console, title: str, found: Explanation, at_source: AtSource | None
) -> None:
    """One row from all sides; what all sides agree on is shown once."""
    filled = [row for row in found.fields if any(row[s] is not None for s in SIDES)]
    rows = [_sides(row, at_source) for row in filled]
    table = plain_table(title)
    for name in ("field", "local", "base", "source", "written by"):
        table.add_column(name)
    for row in rows:
        table.add_row(*row, style="" if row[2] == "=" else "yellow")
    if fits(console, table):
        console.print(table)
    else:
        console.print(title, style="bold")
        for name, local, base, source, _ in rows:
            others = [f"{side} {value}" for side, value in (("base", base), ("source", source))]
            differing = [other for other in others if other.split()[1:] not in ([], ["="])]
            style = "" if base == "=" else "yellow"
            console.print(indented("  ".join([f"{name}: {local}", *differing]), 2, style=style))
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
    elif any(conflict["kind"] == "owner" for conflict in found.conflicts):
        yield "Yellow: the row belongs to another owner; no sync writes it."
    elif any(row["local"] != row["base"] for row in found.fields):
        yield "Yellow: a local override; the next sync keeps it unless the source changes the field."
    if found.marks.get("_missing_since"):
        yield f"The source no longer has it, since {as_text(found.marks['_missing_since'])} (UTC)."
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
