"""The doctor: everything that a run needs, looked at before it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from sync_pipeline.errors import SyncError
from sync_pipeline.merge import prepared
from sync_pipeline.merge.adopt import differences
from sync_pipeline.merge.relations import Relations
from sync_pipeline.merge.tables import metadata
from sync_pipeline.model.catalog import System
from sync_pipeline.postgres.connect import connect, sqlalchemy_url
from sync_pipeline.settings import Settings
from sync_pipeline.systems.coverage import column_like
from sync_pipeline.systems.registry import SYSTEMS
from sync_pipeline.systems.sources import source_of


@dataclass(frozen=True)
class Finding:
    """One thing that the doctor found; errors keep a run from succeeding."""

    severity: Literal["error", "warning", "note"]
    where: str
    problem: str
    remedy: str


def examine(settings: Settings) -> list[Finding]:
    """Look at the target and at every source."""
    found = [*_target(settings), *_dagster(settings)]
    for system in SYSTEMS:
        found += _source(system)
    return found


def _target(settings: Settings) -> Iterator[Finding]:
    try:
        with connect(settings.target()) as connection:
            for system in SYSTEMS:
                for entity in system.entities:
                    for f in prepared.findings(connection, Relations(entity)):
                        yield Finding("error", f.entity, f.problem, f.remedy)
    except SyncError as error:
        yield Finding("error", "target", str(error), "set SYNC_TARGET_DSN, or start the server")
        return
    engine = sa.create_engine(sqlalchemy_url(settings.target()), poolclass=sa.NullPool)
    with engine.connect() as connection:
        for note in differences(connection, metadata(SYSTEMS)):
            yield Finding(
                "warning",
                note.table,
                note.text,
                "harmless unless values do not fit; a migration may change it",
            )


def _dagster(settings: Settings) -> Iterator[Finding]:
    if settings.dagster_dsn:
        try:
            connect(settings.dagster_dsn, variable="SYNC_DAGSTER_DSN").close()
        except SyncError as error:
            remedy = "set SYNC_DAGSTER_DSN, or unset it to use the embedded server"
            yield Finding("error", "dagster", str(error), remedy)


def _source(system: System) -> Iterator[Finding]:
    source = source_of(system.name)
    try:
        described = source.fields()
    except SyncError as error:
        remedy = "mend what the message names; until then no run reads this source"
        yield Finding("error", f"{system.name} source", str(error), remedy)
        return
    finally:
        source.close()
    for entity in system.entities:
        where = f"{system.name}/{entity.name}"
        fields = described.get(entity.source.lower())
        if fields is None:
            yield Finding(
                "error",
                where,
                f"the source has no type {entity.source}",
                "enable it in the source's API settings",
            )
            continue
        yield from _fields(where, set(fields), {s for f in entity.fields for s in f.sources})


def _fields(where: str, present: set[str], mapped: set[str]) -> Iterator[Finding]:
    gone = sorted(mapped - present)
    if gone:
        yield Finding(
            "warning",
            where,
            f"the source no longer describes {', '.join(gone)}",
            "renamed or hidden there? mend the entity's field",
        )
    unmapped = sorted(present - mapped)
    if unmapped:
        columns = ", ".join(f"{name} ({column_like(name)})" for name in unmapped)
        yield Finding(
            "note", where, f"not mapped: {columns}", "add a Field to the entity to sync it"
        )
