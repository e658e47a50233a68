"""The group that every command joins."""

from __future__ import annotations

import click

from sync_pipeline.cli.framework import ExampledGroup


@click.group(
    cls=ExampledGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    examples=(
        "demo                          # sync everything once, from simulated sources",
        "sync bubble                   # what changed since the last run",
        "sync bubble --keys ID         # one invoice with all that belongs to it",
        "sync bubble --full --dry-run  # what a full sync would do",
        "sync desktop --reverse        # what mobile users entered, to the desktop",
        "doctor                        # what keeps a target or source from being synced",
    ),
)
@click.version_option(package_name="sync-pipeline")
def cli() -> None:
    """Keep Postgres tables that people also edit in step with the systems around them.

    Where no environment variable names a target or a source, an embedded Postgres and simulated sources
    stand in, so every command works on a fresh machine. A target that is named is never synced from invented
    data, unless by demo.

    Exit codes: 0 success, 1 failed, 2 usage, 3 stopped by the guard, 4 partial success.
    """
