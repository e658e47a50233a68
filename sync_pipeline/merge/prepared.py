"""Whether a target is ready for an entity: what is checked before a run and shown by `doctor`.

An index is judged by its definition, never by its name: unique, valid, total, on exactly the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.merge.relations import Relations
from sync_pipeline.merge.stage import Connection


@dataclass(frozen=True)
class Finding:
    """Something about the target that a run needs to be otherwise."""

    entity: str
    problem: str
    remedy: str


_MIGRATE = "run: sync-pipeline migrate"


def check(connection: Connection, rel: Relations) -> None:
    """Refuse to run against a target that is not ready.

    Raises:
        TargetNotPrepared: with every finding and its remedy.
    """
    found = list(findings(connection, rel))
    if found:
        what = "; ".join(f"{f.problem} ({f.remedy})" for f in found)
        raise TargetNotPrepared(
            f"{rel.entity.system}/{rel.entity.name}: the target is not ready: {what}. `sync-pipeline doctor`"
            " shows all findings."
        )


def findings(connection: Connection, rel: Relations) -> Iterator[Finding]:
    """What keeps an entity from being synced into this target."""
    entity = rel.entity
    name = f"{entity.system}/{entity.name}"
    for relation, what in ((rel.target, "table"), (rel.base, "base table")):
        text = relation.as_string(connection)
        present = _columns(connection, text)
        if not present:
            yield Finding(name, f"{what} {text} does not exist", _MIGRATE)
            continue
        wanted = rel.mapped_columns if relation is rel.base else [c.column for c in entity.columns]
        needed = set(rel.mapped_columns) | {s.column for s in entity.stamps}
        for column in wanted:
            if column not in present and (relation is rel.base or column in needed):
                yield Finding(name, f"{what} {text} has no column {column}", _MIGRATE)
        if not _has_unique_index(connection, text, entity.key):
            key = ", ".join(entity.key)
            yield Finding(
                name, f"{what} {text} has no valid, total unique index on ({key})", _MIGRATE
            )


def _columns(connection: Connection, relation: str) -> set[str]:
    rows = connection.execute(
        "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0"
        " and not attisdropped",
        [relation],
    )
    return {name for (name,) in rows}


def _has_unique_index(connection: Connection, relation: str, key: tuple[str, ...]) -> bool:
    rows: list[tuple[Any, ...]] = connection.execute(
        "select array(select a.attname::text from unnest(i.indkey) k join pg_attribute a"
        " on a.attrelid = i.indrelid and a.attnum = k) from pg_index i"
        " where i.indrelid = to_regclass(%s) and i.indisunique and i.indisvalid and i.indimmediate"
        " and i.indpred is null and i.indexprs is null and i.indnkeyatts = i.indnatts",
        [relation],
    ).fetchall()
    return any(set(names) == set(key) for (names,) in rows)


def exists(connection: Connection, rel: Relations) -> bool:
    """Whether the target table is there at all."""
    return bool(_columns(connection, rel.target.as_string(connection)))
