"""`rejected`: records that could not be merged, and why; also what it shares with `parked`."""

from collections.abc import Sequence
from typing import Literal

import click

from sync_pipeline.cli import arguments, framework, output
from sync_pipeline.cli.databases import Database, reverse_option
from sync_pipeline.merge.bookkeeping import listings


def listing_command(
    kind: Literal["rejected", "parked"],
    names: Sequence[str],
    *,
    heading: int,
    empty: str,
    short: str,
    more: str,
) -> None:
    """Register a command that lists open records."""

    @framework.command(
        name=kind,
        examples=(kind, f"{kind} --entity bubble/invoice --limit 10", f"{kind} --reverse"),
        short_help=short,
        help=f"{short}\n\n{more}",
    )
    @click.option("--entity", help="Only of this entity, such as invoice or bubble/invoice.")
    @arguments.limit(50)
    @reverse_option("Those of runs into the desktop database.")
    def show(*, entity: str | None, limit: int, database: Database, as_json: bool) -> None:
        chosen = arguments.filters(database, entity)
        with database.session() as connection:
            rows = listings.waiting(connection, kind, limit, **chosen)
        if as_json:
            output.print_json({kind: rows})
        else:
            output.listing(output.to_stdout(), rows, names, empty=empty, heading=heading)
            output.cut_short(output.to_stdout(), len(rows), limit)


listing_command(
    "rejected",
    ("id", "entity", "last_seen", "reason", "constraint"),
    heading=3,
    empty="Nothing is rejected.",
    short="List records that could not be merged, and why.",
    more="A later good record clears them by itself; to try one again now: sync-pipeline sync SYSTEM"
    " ENTITY --keys ID",
)
