"""The installed script: imports the command line, and says a mistake in a declaration in one line."""

from __future__ import annotations

import sys

from sync_pipeline.errors import DeclarationError


def main() -> None:
    """Run the command line."""
    try:
        from sync_pipeline.cli import commands, framework
    except DeclarationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    framework.main(commands.cli)
