"""The command line: which commands there are, and what each does.

Every command takes `--json` and then prints one JSON object on stdout; progress and errors go to stderr.
Commands stand in modules by what people want of them; what all of them share is in `commanding`, what some
share in `shared`, and what they show in `printing`. Imports stand where they are needed, because Dagster
takes a second to import, and help and usage errors need not wait for it.
"""

from sync_pipeline.cli import asking, commanding, running, settling, tending
from sync_pipeline.cli.group import cli

__all__ = ["asking", "cli", "main", "running", "settling", "tending"]


def main() -> None:
    """Entry point of the installed script."""
    commanding.main(cli)
