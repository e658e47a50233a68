"""`purge`: remove old bookkeeping."""

from sync_pipeline.cli import framework, output
from sync_pipeline.cli.databases import Database, read_settings, reverse_option
from sync_pipeline.merge.bookkeeping import retention


@framework.command(
    examples=("purge", "purge --reverse"),
    short_help="Remove old bookkeeping.",
    help="Remove bookkeeping older than SYNC_RETENTION_DAYS; what is unresolved stays.\n\n"
    "With the daemon running this happens every night.",
)
@reverse_option("That of the desktop database.")
def purge(*, database: Database, as_json: bool) -> None:
    """Retention."""
    with database.session() as connection:
        removed = retention.purge(connection, keep=read_settings().retention)
    if as_json:
        output.print_json({"status": "completed", "removed": removed})
        return
    days = read_settings().retention.days
    rows = [{"table": name, "rows removed": n} for name, n in removed.items() if n]
    empty = f"Nothing is older than {days} days."
    output.listing(output.to_stdout(), rows, ("table", "rows removed"), empty=empty)
