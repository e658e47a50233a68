"""`parked`: records that wait for a required parent."""

from sync_pipeline.cli.commands.rejected import listing_command

listing_command(
    "parked",
    ("id", "entity", "key", "parent", "parent_column", "parent_key", "parked_at"),
    heading=3,
    empty="Nothing waits for a parent.",
    short="List records that wait for a required parent.",
    more="They are released by the first run that finds it; to try now: sync-pipeline sync SYSTEM ENTITY",
)
