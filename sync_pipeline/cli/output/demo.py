"""The end of a demo: what its counts mean, and steps to try."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from sync_pipeline.remedies import PROGRAM

if TYPE_CHECKING:
    from sync_pipeline.orchestration.run_report import RunReport


@dataclass(frozen=True)
class GuidedField:
    """The field that the guided steps edit: a row's entity and key, and the column."""

    entity: str
    key: str
    column: str


def hints(
    console: Console,
    reports: Mapping[str, RunReport],
    planted: Collection[str],
    guided: GuidedField | None,
) -> None:
    """What the counts of a demo mean, `planted` systems' bad records included, and what to do next."""
    counts = [c for name in planted for c in reports[name].entities.values()]
    rejected, parked = (sum(c[term] for c in counts) for term in ("rejected", "parked"))
    console.print()
    if planted:
        console.print(
            f"The simulated sources hold bad records on purpose: {rejected:,} rejected and {parked:,} parked"
            " with their reasons, as planted."
        )
    unfinished = [n for n, r in reports.items() if r.exit_code and n not in planted]
    if unfinished:
        console.print(f"Not in step: {', '.join(unfinished)}; the reasons are above.", style="red")
    else:
        console.print("All other records were synced.")
    shown = {
        "rejected": "records that could not be merged, and why",
        "history": "the runs so far",
        "up": "the same with the Dagster UI",
    }
    if any("reverse" in name for name in reports):
        shown["history --reverse"] = "the runs back into the source's database"
    _print(console, "Where to look next, on the tables as they are now:", shown)
    if guided:
        _guided_steps(console, guided)


def _guided_steps(console: Console, guided: GuidedField) -> None:
    row = f"{guided.entity} {guided.key}"
    here, there = (f'"{guided.column}=Edited {place}"' for place in ("here", "at the source"))
    system, _, entity = guided.entity.partition("/")
    console.print()
    console.print("Two steps that show what no loader does; paste a line at a time:", style="bold")
    edits = [f"demo-edit {row} {here}", f"demo-edit {row} {there} --at source"]
    syncs = [f"sync {system} {entity}", f"conflicts --entity {guided.entity}"]
    _print(
        console,
        "1. Edit one field on both sides. The sync takes the source's value and records yours as a conflict.",
        dict.fromkeys([*edits, *syncs], ""),
    )
    _print(
        console,
        "2. Undo that run: your edit is back, and later syncs keep it until the source changes again.",
        {"undo latest": "", f"explain {row}": ""},
    )


def _print(console: Console, heading: str, commands: Mapping[str, str]) -> None:
    """A heading and commands as they are command_line, each with what it is for."""
    program = PROGRAM if shutil.which(PROGRAM) else os.path.relpath(sys.argv[0])
    width = max(map(len, commands))
    console.print(heading, soft_wrap=True)
    for command, purpose in commands.items():
        line = f"  {program} {command:{width}}  {purpose}" if purpose else f"  {program} {command}"
        console.print(line, soft_wrap=True)
