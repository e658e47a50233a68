"""What a migration did to a database, and what the doctor found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from sync_pipeline.printing.tables import indented

if TYPE_CHECKING:
    from sync_pipeline.checkup import Finding
    from sync_pipeline.merge.adopt import Note


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


def account(console: Console, created: int, problem: str | None) -> None:
    """What opening the account in the desktop database did, or why it could not."""
    if problem:
        console.print(f"The desktop database: {problem}.", style="yellow", soft_wrap=True)
    elif created:
        console.print(f"The desktop database: {created} created in the schemas sync and sync_base.")
    else:
        console.print("The desktop database has its bookkeeping; nothing to do.")


def findings(console: Console, found: Sequence[Finding]) -> None:
    """What the doctor found, the worst first, each with its remedy."""
    styles = {"error": "red", "warning": "yellow", "note": "dim"}
    for finding in sorted(found, key=lambda f: list(styles).index(f.severity)):
        head = Text(f"{finding.severity:8}", style=styles[finding.severity])
        console.print(head.append(f"{finding.where}: ", style="bold").append(finding.problem))
        console.print(indented(f"→ {finding.remedy}", 8))
    errors, warnings = (sum(f.severity == s for f in found) for s in ("error", "warning"))
    if errors:
        console.print(f"Errors that keep runs from succeeding: {errors}", style="red")
    elif warnings:
        console.print(
            f"Runs will succeed. Warnings that are worth a look: {warnings}", style="yellow"
        )
    else:
        console.print("All is well: target and sources are ready.", style="green")
