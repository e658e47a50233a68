"""`_sync_metadata` as earlier programs made it on a target becomes the one that we write."""

import datetime as dt
from contextlib import closing
from typing import LiteralString

import pytest

from sync_pipeline.merge.schema import migrate
from sync_pipeline.merge.schema.adopt import MigrationNote
from sync_pipeline.merge.schema.metadata import metadata
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline_tests.fixtures.desktop import Practice, Side

SETUP_SCRIPT: LiteralString = """
create table _sync_metadata (
    table_name varchar(255) primary key,
    last_sync_timestamp timestamptz not null default '1970-01-01',
    last_sync_records int default 0,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
insert into _sync_metadata (table_name, last_sync_timestamp, last_sync_records)
values ('jobshead', '2025-10-30 10:00+00', 24568), ('climaster', default, null)
"""
ENGINE: LiteralString = """
create table _sync_metadata (
    table_name varchar(255) primary key,
    last_sync_timestamp timestamptz not null default '1970-01-01',
    last_sync_id bigint,
    sync_status varchar(50) default 'pending',
    records_synced int default 0,
    error_message text,
    updated_at timestamptz default now()
);
insert into _sync_metadata (table_name, last_sync_timestamp, records_synced, last_sync_id)
values ('jobshead', '2025-10-30 10:00+00', 24568, 9), ('climaster', default, null, null)
"""
SINCE = dt.datetime(2025, 10, 30, 10, tzinfo=dt.UTC)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def columns(side: Side) -> set[str]:
    query = "select column_name from information_schema.columns where table_name = '_sync_metadata'"
    return {row["column_name"] for row in side.rows(query)}


def marks(side: Side) -> list[tuple[object, ...]]:
    query = "select table_name, last_sync_timestamp, records_synced from _sync_metadata order by 1"
    return [tuple(row.values()) for row in side.rows(query)]


@pytest.mark.parametrize("found", [SETUP_SCRIPT, ENGINE], ids=["setup script", "engine"])
def test_either_earlier_definition_becomes_ours_and_keeps_its_rows(
    office: Practice, database: str, found: LiteralString
) -> None:
    target = Practice(office.desktop.dsn, database)
    with closing(target):
        target.mobile.run(found)
        before = columns(target.mobile)

        migrate.migrate(database, metadata([DESKTOP]))

        ours = columns(office.mobile)
        assert columns(target.mobile) == ours | before
        assert marks(target.mobile) == [("climaster", EPOCH, 0), ("jobshead", SINCE, 24568)]
        assert created(migrate.migrate(database, metadata([DESKTOP]))) == []
        target.forward("orgmaster")
        assert ("orgmaster", EPOCH, 1) in marks(target.mobile)
        status = "select sync_status from _sync_metadata where table_name = 'orgmaster'"
        assert target.mobile.value(status) == "success"


def created(notes: list[MigrationNote]) -> list[MigrationNote]:
    return [note for note in notes if note.kind == "created"]
