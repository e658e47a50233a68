"""The environment variables of the project and of every system, as people read them."""

from __future__ import annotations

from collections.abc import Iterator

from sync_pipeline.settings import VARIABLES, Variable
from sync_pipeline.systems.registry import SYSTEMS


def by_user() -> Iterator[tuple[str, Variable]]:
    """Every variable, with the system that uses it; the project's own with an empty name."""
    yield from (("", variable) for variable in VARIABLES)
    yield from ((system.name, v) for system in SYSTEMS for v in system.source.variables)


def help_rows() -> list[tuple[str, str]]:
    """For the list in `--help`."""
    return [(v.name, f"{system}: {v.meaning}" if system else v.meaning) for system, v in by_user()]


def markdown_table() -> str:
    """The table of `docs/operations.md`."""
    rows = ["| variable | system | meaning | default or example |", "|---|---|---|---|"]
    for system, variable in by_user():
        value = variable.default or variable.example
        notes = ["optional"] * (bool(system) and variable.optional) + ["secret"] * variable.secret
        meaning = f"{variable.meaning} ({', '.join(notes)})" if notes else variable.meaning
        code = f"`{value}`" if value else ""
        name = f"`{system}`" if system else ""
        rows.append(f"| `{variable.name}` | {name} | {meaning} | {code} |")
    return "\n".join(rows) + "\n"
