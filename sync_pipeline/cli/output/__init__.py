# ruff: noqa: F401
"""What the command line shows: tables for people, one JSON object for programs.

Values are never read as markup.
"""

from sync_pipeline.cli.output.conflicts import conflicts, explanation
from sync_pipeline.cli.output.console import print_json, to_stderr, to_stdout
from sync_pipeline.cli.output.demo import GuidedField, hints
from sync_pipeline.cli.output.doctor import bookkeeping, findings, fixes, migration
from sync_pipeline.cli.output.history import runs, undone
from sync_pipeline.cli.output.run import approval, run_report
from sync_pipeline.cli.output.tables import cut_short, listing
