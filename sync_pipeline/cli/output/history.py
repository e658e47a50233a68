"""Runs, and the result of undoing one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from rich.console import Console

from sync_pipeline.cli.output.tables import Row, as_text, listing
from sync_pipeline.remedies import command_line
from sync_pipeline.systems.registry import REVERSE_TARGET, SYSTEMS

if TYPE_CHECKING:
    from sync_pipeline.merge.review.undo import Undone


def runs(console: Console, rows: Sequence[Row], *, reverse: bool = False, others: int = 0) -> None:
    """A table of runs; `others` is the number of reverse runs, where these are not."""
    shown = [
        {
            "run": str(row["run_id"])[:8],
            "started (UTC)": as_text(row["created_at"]),
            "type": f"{row['metadata'].get('system', '')} {row['sync_type']}".strip(),
            "status": row["status"].replace("_", " "),
            "read": _count(row["items_processed"]),
            "new": _count(row["items_created"]),
            "changed": _count(row["items_updated"]),
            "held": _count(row["items_failed"]),
            "seconds": "" if row["duration_ms"] is None else f"{row['duration_ms'] / 1000:.1f}",
        }
        for row in rows
    ]
    if shown:
        numbers = ("read", "new", "changed", "held", "seconds")
        listing(console, shown, tuple(shown[0]), empty="", heading=4, right=numbers)
        one = command_line("history RUN", reverse=reverse)
        console.print(f"held: rejected or parked. One run in full: {one}", style="dim")
    else:
        system = REVERSE_TARGET.system if reverse else SYSTEMS[0]
        begin = command_line(f"sync {system.name}", reverse=reverse)
        console.print(f"Nothing was synced yet: {begin}")
    if others:
        command = command_line("history", reverse=True)
        what = "run" if others == 1 else f"{others:,} runs"
        console.print(f"{command} shows the {what} into the {REVERSE_TARGET.title}", style="dim")


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def undone(console: Console, results: Mapping[str, Undone], run_id: UUID, *, again: str) -> None:
    """What an undo did, and the command that undoes it."""
    names = ("entity", "restored", "deleted", "reinserted", "kept")
    rows = [{"entity": name, **vars(r)} for name, r in results.items()]
    listing(console, rows, names, empty=f"Run {run_id} wrote nothing; nothing to undo.")
    for name, result in results.items():
        for example in result.examples:
            console.print(f"• {name} {example}", style="yellow", soft_wrap=True)
    if any(r.kept for r in results.values()):
        console.print("Rows that hold something newer were kept as they are.", style="yellow")
    if results:
        console.print(f"Run {run_id} is undone. To redo it: {again}", soft_wrap=True)
