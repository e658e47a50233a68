"""`migrate`: bring the target's tables to what the entities need."""

from sync_pipeline.cli import framework, output
from sync_pipeline.cli.databases import sandboxed
from sync_pipeline.cli.migration import migrate_all
from sync_pipeline.systems.registry import REVERSE_TARGET, SYSTEMS


@framework.command(
    examples=("migrate",),
    short_help="Bring the target's tables to what the entities need.",
    help="Bring the target to what the entities need; adopts tables that are there already.\n\n"
    "Creates what is missing as far as the data allows, and lists what differs. Once, it repairs the keys of"
    " the menus' tables and of the phone cache: it fills them, merges rows that repeat them and keeps what"
    " it removes; `doctor --fix --dry-run` shows it before. In a desktop database it creates the schemas"
    " sync and sync_base, which reverse runs need, and nothing else.",
)
def migrate(*, as_json: bool) -> int:
    """Alembic to head, then what the entities declare."""
    # Of the simulated systems, those whose tables another program has used before.
    used = [s.name for s in SYSTEMS if s.source.product]
    with sandboxed(sources=used, dagster=False, migrates=True) as settings:
        found = migrate_all(settings)
    refused = any(n.kind == "refused" for n in found.notes)
    if as_json:
        status = "partial_success" if refused else "completed"
        reverse = {REVERSE_TARGET.system.name: found.reverse} if found.reverse else {}
        output.print_json({"status": status, "notes": found.notes} | reverse)
    else:
        output.migration(output.to_stdout(), found.notes)
        if found.reverse:
            output.bookkeeping(output.to_stdout(), len(found.reverse.notes), found.reverse.problem)
    return 4 if refused else 0
