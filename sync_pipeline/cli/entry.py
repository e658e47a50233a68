"""The installed script: imports the commands; a wrong declaration of an entity becomes one line."""

import io
import sys
from contextlib import suppress

from sync_pipeline.errors import DeclarationError


def main() -> None:
    """Run the command line."""
    # A terminal that cannot show an arrow or a dash gets another character, not an error.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError):  # one that was replaced by something that cannot seek
                stream.reconfigure(errors="replace")
    try:
        from sync_pipeline.cli import commands, framework  # noqa: F401  commands register themselves
    except DeclarationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    framework.main()
