"""What every command shares: `--json`, examples, errors of one line, progress on stderr, exit codes.

Exit codes: 0 success, 1 failed, 2 usage, 3 stopped by the guard,
4 partial success; 128 + n when a signal ended the command.
"""

import datetime as dt
import errno
import logging
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

import click
import psycopg

from sync_pipeline.cli import output
from sync_pipeline.errors import DeclarationError, SettingsError, StoppedByGuard, SyncError
from sync_pipeline.postgres.connect import redact
from sync_pipeline.postgres.errors import message_with_detail, one_line
from sync_pipeline.remedies import PROGRAM
from sync_pipeline.settings import TARGET, Settings
from sync_pipeline.systems.registry import REVERSE_TARGET, variables

UNWRITABLE = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ENOTDIR,
        errno.EEXIST,
    }
)
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CommandFunction = Callable[..., "int | None"]


def main() -> None:
    """Run a command and end the process with its exit code."""
    _raise_on_signals()
    as_json = "--json" in sys.argv[1:]
    try:
        code = cli.main(prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        _show_example(error)
        code = _fail(error.format_message(), 2, as_json=as_json, on_stderr=False)
    except (KeyboardInterrupt, click.Abort):
        code = _fail("interrupted", 128 + signal.SIGINT, as_json=as_json)
    sys.exit(code or 0)


def _raise_on_signals() -> None:
    # Signals become exceptions, so that our context managers stop the embedded server, the simulators and
    # Dagster. A second one must not keep them from it.
    def leave(number: int, _: FrameType | None) -> None:
        for ignored in END_SIGNALS:
            signal.signal(ignored, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    # SIGINT too: a background shell job starts with it ignored.
    for number in END_SIGNALS:
        signal.signal(number, leave)


class _Command(click.Command):
    """A command whose help ends with examples."""

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.examples = tuple(examples)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Click's help, then the examples."""
        super().format_help(ctx, formatter)
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{PROGRAM} {example}\n")


class _Group(_Command, click.Group):
    """A group whose help ends with the environment variables and examples."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Click's help, then the variables and the examples."""
        super().format_help(ctx, formatter)
        with formatter.section("Environment, all optional"):
            formatter.write_dl(
                [
                    (v.name, f"{system}: {v.meaning}" if system else v.meaning)
                    for system, v in variables()
                ]
            )


@click.group(
    cls=_Group,
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
    """Sync Postgres tables that people also edit with the systems around them.

    Every record is merged three ways: the source's value, the one that it delivered last, and the table's.
    Neither side's edits are lost, and undo reverses a run.

    Where no environment variable names a target or a source, an embedded Postgres and simulated sources
    are used, so every command works on a fresh machine. A named target is never synced from invented data,
    unless by demo.

    Exit codes: 0 success, 1 failed, 2 usage, 3 stopped by the guard, 4 partial success.
    """


def _show_example(error: click.ClickException) -> None:
    context = getattr(error, "ctx", None)
    examples = getattr(context.command, "examples", ()) if context else ()
    if examples and not isinstance(error, click.exceptions.NoArgsIsHelpError):
        example = examples[0].partition(" #")[0].rstrip()
        click.echo(f"\nExample: {PROGRAM} {example}", err=True)


def command(
    *, examples: Sequence[str] = (), **attributes: Any
) -> Callable[[CommandFunction], click.Command]:
    """Register a command; any error in it becomes one line and an exit code.

    The examples omit the program's name; the first one is shown with usage errors.
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
                return _fail(error_line(error), code, as_json=options["as_json"])

        option = click.option(
            "--json", "as_json", is_flag=True, help="Print one JSON object on stdout."
        )
        register = cli.command(cls=_Command, examples=examples, **attributes)
        return register(option(guarded))

    return decorate


def _fail(message: str, code: int, *, as_json: bool, on_stderr: bool = True) -> int:
    """Print an error for programs and people; returns the exit code."""
    if as_json:
        output.print_json({"status": "failed", "errors": [message]})
    if on_stderr:
        output.to_stderr().print(message, style="red", soft_wrap=True)
    return code


def error_line(error: Exception) -> str:
    """An error as one line: what failed, why, and what to do."""
    if isinstance(error, SyncError | DeclarationError):
        return str(error)
    # What SQLAlchemy raises holds the driver's own error; both name the cause in the first line.
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, psycopg.Error) or type(cause).__module__.startswith("psycopg2"):
        reverse = "--reverse" in sys.argv[1:]
        variable = REVERSE_TARGET.variable if reverse else TARGET.name
        # Without a detail that recites the row: it holds personal data.
        problem = f"The database failed: {message_with_detail(cause)}."
        if isinstance(cause, psycopg.errors.InsufficientPrivilege):
            return f"{problem} Let its owner grant that to the role in {variable}, then try again."
        return f"{problem} Check {variable} and the server's log, then try again."
    if isinstance(error, OSError) and error.filename and error.errno in UNWRITABLE:
        home = "Set SYNC_HOME to a directory that this user may write to, with room for it."
        return f"{error.strerror}: {error.filename}. {home}"
    return (
        f"This is a defect: {type(error).__name__}: {one_line(cause)[:300]}. Nothing is half done; what to"
        f" report is {_log_defect(error)}"
    )


def _log_defect(error: Exception) -> str:
    """Append the stack trace to a file in the first directory that takes it; returns where it is."""
    moment = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    words = " ".join(map(_without_password, sys.argv))
    entry = f"{moment} {words}\n{''.join(traceback.format_exception(error))}\n"
    homes = [Path(tempfile.gettempdir())]
    with suppress(SettingsError):
        homes.insert(0, Settings.read().home)
    for home in homes:
        with suppress(OSError):
            home.mkdir(parents=True, exist_ok=True)
            with (home / "defects.log").open("a", encoding="utf-8") as log:
                log.write(entry)
            return f"at the end of {home / 'defects.log'}"
    return f"this, for which no directory has room: {entry}"


def _without_password(word: str) -> str:
    """A word of the command without the password that it may hold."""
    return redact(word) if "://" in word or "password" in word else word


class _OneLine(logging.Formatter):
    """A line per message, without stack traces: those are for logs, not for people."""

    def format(self, record: logging.LogRecord) -> str:
        # In a run, Dagster puts the names of job, run and step before the message.
        message = getattr(record, "dagster_meta", {}).get("orig_message") or record.getMessage()
        return f"{self.formatTime(record, '%H:%M:%S')} {' '.join(message.split())}"


def _log_to_stderr(*, as_json: bool) -> None:
    """Our own progress; of the libraries only what is worth a warning."""
    warnings.filterwarnings("ignore", module="dagster")
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("sync_pipeline").setLevel(logging.WARNING if as_json else logging.INFO)


def log_progress(message: str) -> None:
    """Write progress to stderr."""
    logging.getLogger(__name__).info("%s", message)
