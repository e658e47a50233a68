# ruff: noqa: F401
"""One module per command; importing this package registers them all with the group.

Imports stand inside functions where they cost: Dagster takes a second to import, and `--help` and usage
errors need not wait for it.
"""

from sync_pipeline.cli.commands import (
    conflicts,
    demo,
    demo_edit,
    doctor,
    explain,
    history,
    inspect,
    migrate,
    parked,
    purge,
    rejected,
    request,
    sync,
    undo,
    up,
)
from sync_pipeline.cli.framework import cli
