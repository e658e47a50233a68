"""Where output goes, and the one JSON object that programs read."""

import dataclasses
import sys
from typing import Any

import orjson
from rich.console import Console

PIPE_WIDTH = 140  # columns where nobody's terminal sets a limit


def to_stdout() -> Console:
    """Where results go."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def to_stderr() -> Console:
    """Where progress and errors go."""
    width = None if sys.stderr.isatty() else PIPE_WIDTH
    return Console(stderr=True, width=width, highlight=False, markup=False, emoji=False)


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    sys.stdout.buffer.write(orjson.dumps(value, default=_plain, option=options) + b"\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)
