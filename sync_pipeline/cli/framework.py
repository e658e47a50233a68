"""What every command shares: `--json`, examples, errors of one line, progress on stderr, exit codes.

Exit codes: 0 success, 1 failed, 2 usage, 3 stopped by the guard,
4 partial success; 128 + n when a signal ended the command.
"""

from __future__ import annotations

import datetime as dt
import logging
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

import click
import psycopg

from sync_pipeline.cli import output
from sync_pipeline.errors import DeclarationError, SettingsError, StoppedByGuard, SyncError
from sync_pipeline.postgres.errors import one_line
from sync_pipeline.remedies import PROGRAM
from sync_pipeline.settings import Settings

LEAVING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CommandFunction = Callable[..., "int | None"]


def main(cli: click.Group) -> None:
    """Run a command and end the process with its exit code."""
    _hear_signals()
    as_json = "--json" in sys.argv[1:]
    try:
        code = cli.main(prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        _show_example(error)
        code = _told(error.format_message(), 2, as_json=as_json, on_stderr=False)
    except (KeyboardInterrupt, click.Abort):
        code = _told("interrupted", 128 + signal.SIGINT, as_json=as_json)
    sys.exit(code or 0)


def _hear_signals() -> None:
    # Signals become exceptions, so that our context managers stop the embedded server, the simulators and
    # Dagster. A second one must not keep them from it.
    def leave(number: int, _: FrameType | None) -> None:
        for heard in LEAVING:
            signal.signal(heard, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    # Also SIGINT, to which a shell that starts us in the background makes us deaf.
    for number in LEAVING:
        signal.signal(number, leave)


class _Exampled(click.Command):
    """A command whose help ends with examples."""

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.examples = tuple(examples)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What click shows, then the examples as they are typed."""
        super().format_help(ctx, formatter)
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{PROGRAM} {example}\n")


class ExampledGroup(_Exampled, click.Group):
    """A group whose help ends with examples."""


def _show_example(error: click.ClickException) -> None:
    context = getattr(error, "ctx", None)
    examples = getattr(context.command, "examples", ()) if context else ()
    if examples and not isinstance(error, click.exceptions.NoArgsIsHelpError):
        example = examples[0].partition(" #")[0].rstrip()
        click.echo(f"\nExample: {PROGRAM} {example}", err=True)


def command(
    group: click.Group, *, examples: Sequence[str] = (), **attributes: Any
) -> Callable[[CommandFunction], click.Command]:
    """Add a command to a group; whatever goes wrong in it becomes one line and an exit code.

    Args:
        group: which it joins.
        examples: of its use, without the program's name; the first one is shown with usage errors.
        attributes: for click, such as `name` and `help`.
    """

    def decorate(function: CommandFunction) -> click.Command:
        @wraps(function)
        def guarded(**options: Any) -> int:
            _log_to_stderr(as_json=options["as_json"])
            try:
                return function(**options) or 0
            except click.ClickException:
                raise
            except Exception as error:  # noqa: BLE001  a person gets one line, whatever it was
                code = 3 if isinstance(error, StoppedByGuard) else 1
                return _told(explained(error), code, as_json=options["as_json"])

        option = click.option(
            "--json", "as_json", is_flag=True, help="Print one JSON object on stdout."
        )
        register = group.command(cls=_Exampled, examples=examples, **attributes)
        return register(option(guarded))

    return decorate


def _told(message: str, code: int, *, as_json: bool, on_stderr: bool = True) -> int:
    """Say what went wrong, to programs and to people."""
    if as_json:
        output.print_json({"status": "failed", "errors": [message]})
    if on_stderr:
        output.to_stderr().print(message, style="red", soft_wrap=True)
    return code


def explained(error: Exception) -> str:
    """An error as a line that says what failed, why, and what to do."""
    if isinstance(error, SyncError | DeclarationError):
        return str(error)
    # What SQLAlchemy raises holds the driver's own error; both name the cause in the first line.
    cause = getattr(error, "orig", None) or error
    said = one_line(cause)
    if isinstance(cause, psycopg.Error) or type(cause).__module__.startswith("psycopg2"):
        variable = "DESKTOP_DSN" if "--reverse" in sys.argv[1:] else "SYNC_TARGET_DSN"
        return (
            f"The database failed: {said}. Check {variable} and the server's log, then try again."
        )
    if isinstance(error, PermissionError | NotADirectoryError | FileExistsError):
        home = "Set SYNC_HOME to a directory that this user may write to."
        return f"{error.strerror}: {error.filename}. {home}"
    return (
        f"This is a defect: {type(error).__name__}: {said[:300]}. Nothing is half done; what to report is at"
        f" the end of {_kept(error)}"
    )


def _kept(error: Exception) -> Path:
    """Write the stack trace where a developer finds it."""
    try:
        home = Settings.read().home
        home.mkdir(parents=True, exist_ok=True)
    except (SettingsError, OSError):
        home = Path(tempfile.gettempdir())
    path = home / "defects.log"
    with path.open("a") as log:
        moment = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        trace = "".join(traceback.format_exception(error))
        log.write(f"{moment} {' '.join(map(_harmless, sys.argv))}\n{trace}\n")
    return path


def _harmless(word: str) -> str:
    """A word of the command without the password that it may hold."""
    from sync_pipeline.postgres.connect import redact  # it is slow to import

    return redact(word) if "://" in word or "password" in word else word


class _OneLine(logging.Formatter):
    """A line per message, without stack traces: those are for logs, not for people."""

    def format(self, record: logging.LogRecord) -> str:
        # In a run, Dagster puts the names of job, run and step before the message.
        said = getattr(record, "dagster_meta", {}).get("orig_message") or record.getMessage()
        return f"{self.formatTime(record, '%H:%M:%S')} {' '.join(said.split())}"


def _log_to_stderr(*, as_json: bool) -> None:
    """Our own progress; of the libraries only what is worth a warning."""
    warnings.filterwarnings("ignore", module="dagster")
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("sync_pipeline").setLevel(logging.WARNING if as_json else logging.INFO)


def say(message: str) -> None:
    """Tell a person what is going on."""
    logging.getLogger(__name__).info("%s", message)
