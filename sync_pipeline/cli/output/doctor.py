"""What a migration did to a database, and what the doctor found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from sync_pipeline.cli.output.tables import indented
from sync_pipeline.systems.registry import REVERSE_TARGET

if TYPE_CHECKING:
    from sync_pipeline.doctor.findings import Finding
    from sync_pipeline.doctor.fix import FixReport
    from sync_pipeline.merge.schema.adopt import MigrationNote

NOTE_STYLES = {
    "repaired": "cyan",
    "kept": "dim",
    "created": "green",
    "differs": "yellow",
    "refused": "red",
}


def migration(console: Console, notes: Sequence[MigrationNote]) -> None:
    """What a migration did and left."""
    if not notes:
        console.print("The target is at head; nothing to do.")
        return
    for note in notes:
        head = Text(f"{note.kind}  ", style=NOTE_STYLES[note.kind])
        head.append(f"{note.table}: ", style="bold").append(note.text)
        console.print(head, soft_wrap=True)
    counts = {kind: sum(n.kind == kind for n in notes) for kind in NOTE_STYLES}
    repaired = f"{counts['repaired']} repaired, " if counts["repaired"] else ""
    console.print(
        f"{repaired}{counts['created']} created, {counts['differs']} left as they are although they differ,"
        f" {counts['refused']} refused by the data."
    )


def bookkeeping(console: Console, created: int, problem: str | None) -> None:
    """What creating the bookkeeping in the reverse target did, or why it failed."""
    title = REVERSE_TARGET.title
    if problem:
        console.print(f"The {title}: {problem}.", style="yellow", soft_wrap=True)
    elif created:
        console.print(f"The {title}: {created} created in the schemas sync and sync_base.")
    else:
        console.print(f"The {title} has its bookkeeping; nothing to do.")


def fixes(console: Console, reports: Sequence[FixReport]) -> None:
    """What the doctor fixed, or would fix."""
    styles = {"done": "green", "planned": "yellow", "refused": "red"}
    for report in reports:
        head = Text(f"{report.status:8}", style=styles[report.status])
        console.print(head.append(report.where, style="bold"))
        for line in (*report.lines, *(f"{statement};" for statement in report.sql)):
            console.print(indented(line, 8))


def _alike(found: Iterable[Finding]) -> list[list[Finding]]:
    """Findings grouped by cost and remedy, so that each of these is printed once."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for f in found:
        groups.setdefault((f.severity, f.kind, f.cost, f.remedy, f.fixed_by), []).append(f)
    return list(groups.values())


def findings(console: Console, found: Sequence[Finding]) -> None:
    """What the doctor found, the worst first, each with what it costs and its remedy."""
    styles = {"error": "red", "warning": "yellow", "note": "dim"}
    for alike in _alike(sorted(found, key=lambda f: list(styles).index(f.severity))):
        severity = alike[0].severity
        for finding in alike:
            head = Text(f"{severity if finding is alike[0] else '':8}", style=styles[severity])
            console.print(head.append(f"{finding.where}: ", style="bold").append(finding.problem))
        if alike[0].cost:
            console.print(indented(f"costs: {alike[0].cost}", 8, style="dim"))
        console.print(indented(f"→ {alike[0].remedy}", 8))
    errors, warnings = (sum(f.severity == s for f in found) for s in ("error", "warning"))
    if errors:
        console.print(f"Errors that keep runs from succeeding: {errors}", style="red")
    elif warnings:
        console.print(
            f"Runs will succeed. Warnings that are worth a look: {warnings}", style="yellow"
        )
    else:
        console.print("All is well: target and sources are ready.", style="green")
    fixable = sum(bool(f.fixed_by) for f in found)
    if fixable:
        console.print(f"doctor --fix fixes {fixable} of these; doctor --fix --dry-run shows how.")
