"""The columns that tell a table's rows apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sync_pipeline.inspectdb.schema import Table, Unique
from sync_pipeline.inspectdb.types import MappedColumn


@dataclass(frozen=True)
class Key:
    """The choice of a key.

    Attributes:
        columns: the key; empty where nothing tells rows apart.
        nulls_not_distinct: those of them that may be null.
        alternative: another key that would do, where the chosen one is only a number.
        problem: why there is no key, in words.
    """

    columns: tuple[str, ...] = ()
    nulls_not_distinct: tuple[str, ...] = ()
    alternative: tuple[str, ...] = ()
    problem: str = ""


def choose(table: Table, columns: Mapping[str, MappedColumn]) -> Key:
    """The primary key; else a unique index of columns that are never null; else one to which nulls are equal.

    Of several the one with the fewest columns is taken, then the first by name.
    """
    usable = [u for u in table.uniques if not _unfit(u, columns)]
    usable.sort(key=lambda u: len(u.columns))
    never_null = {c.name for c in table.columns if c.not_null}
    total = [u for u in usable if never_null.issuperset(u.columns)]
    primary = [u for u in total if u.primary]
    found = primary or total or [u for u in usable if u.nulls_count]
    if not found:
        return Key(problem=_problem(table, columns))
    key = found[0]
    others = [u for u in total if set(u.columns) != set(key.columns)]
    numbered = {c.name for c in table.columns if c.numbered}
    only_a_number = key.primary and len(key.columns) == 1 and numbered.issuperset(key.columns)
    return Key(
        columns=key.columns,
        nulls_not_distinct=tuple(c for c in key.columns if c not in never_null),
        alternative=others[0].columns if only_a_number and len(others) == 1 else (),
    )


def _problem(table: Table, columns: Mapping[str, MappedColumn]) -> str:
    reasons = [f"{u.name} {_unfit(u, columns) or 'allows several nulls'}" for u in table.uniques]
    return "nothing tells its rows apart" + (f": {', '.join(reasons)}" if reasons else "")


def _unfit(index: Unique, columns: Mapping[str, MappedColumn]) -> str:
    """Why an index makes no key whether its columns may be null or not, in words; empty where it may."""
    if index.flaw:
        return index.flaw
    for column in (columns[c] for c in index.columns):
        if not column.type:
            return f"has the column {column.column}, which is left out"
        if not column.fits_a_key:
            return f"has the column {column.column}, whose type is none for keys"
    return ""
