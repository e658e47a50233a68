"""`rejected`: records that could not be merged, and why."""

from __future__ import annotations

from sync_pipeline.cli.listing import listing_command

listing_command(
    "rejected",
    ("id", "entity", "last_seen", "reason", "constraint"),
    heading=3,
    empty="Nothing is rejected.",
    short="List records that could not be merged, and why.",
    more="A later good record clears them by itself; to try one again now: sync-pipeline sync SYSTEM"
    " ENTITY --keys ID",
)
