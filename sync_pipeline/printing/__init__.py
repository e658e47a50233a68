"""What the command line shows: tables for people, one JSON object for programs.

Values are never read as markup.
"""

from sync_pipeline.printing.consoles import print_json, to_stderr, to_stdout
from sync_pipeline.printing.history import hints, runs, undone
from sync_pipeline.printing.reports import approval, run_report
from sync_pipeline.printing.rows import conflicts, explanation
from sync_pipeline.printing.tables import cut_short, listing
from sync_pipeline.printing.target import account, findings, mended, migration

__all__ = [
    "account",
    "approval",
    "conflicts",
    "cut_short",
    "explanation",
    "findings",
    "hints",
    "listing",
    "mended",
    "migration",
    "print_json",
    "run_report",
    "runs",
    "to_stderr",
    "to_stdout",
    "undone",
]
