"""Columns that only one side has, or that changed their name: everything else syncs."""

from contextlib import closing

import pytest

from sync_pipeline.errors import SourceRefused
from sync_pipeline.merge.schema import migrate
from sync_pipeline.merge.schema.metadata import metadata
from sync_pipeline.merge.stream import Progress
from sync_pipeline.model.scope import Scope
from sync_pipeline.sources.postgres.reader import PostgresReader
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline_tests.fixtures.desktop import Practice, counted
from sync_pipeline_tests.systems.desktop.sample_rows import job, reminder, staff, task


def test_a_column_that_the_desktop_has_not_is_left_alone_and_the_rest_syncs(
    office: Practice,
) -> None:
    office.desktop.insert("jobshead", **job(1, worklocation="Office"))
    office.forward("jobshead")
    office.desktop.run("alter table jobshead drop column worklocation")
    office.desktop.run("update jobshead set job_status = 'C'")
    office.desktop.insert("jobshead", **job(2))

    result = office.forward("jobshead")["jobshead"]

    assert counted(result) == {"read": 2, "inserted": 1, "updated": 1}
    assert result.metadata["not_at_source"] == "worklocation"
    found = office.mobile.rows("select job_status, worklocation from jobshead order by job_id")
    assert [tuple(row.values()) for row in found] == [("C", "Office"), ("P", None)]


def test_a_column_that_the_desktop_gets_back_is_synced_again(office: Practice) -> None:
    office.desktop.run("alter table jobshead drop column worklocation")
    office.desktop.insert("jobshead", **job())
    office.forward("jobshead")
    office.desktop.run("alter table jobshead add column worklocation varchar(15) default 'Office'")

    result = office.forward("jobshead")["jobshead"]

    assert counted(result) == {"read": 1, "updated": 1}
    assert office.mobile.value("select worklocation from jobshead") == "Office"


def test_columns_that_only_mobile_has_are_never_written(office: Practice) -> None:
    office.desktop.insert("jobtasks", **task(1))
    office.forward("jobtasks")
    office.mobile.run("update jobtasks set createdby = 'asha', task_status = 2")
    office.desktop.run("update jobtasks set task_desc = 'changed'")
    office.desktop.insert("jobtasks", **task(2))

    office.forward("jobtasks", mode="full", force=True)

    query = "select task_desc, createdby, task_status from jobtasks order by job_id"
    edited, new = (tuple(row.values()) for row in office.mobile.rows(query))
    assert edited == ("changed", "asha", 2)
    assert new == ("Vouch purchase bills", None, None)


def test_a_mobile_table_that_still_has_des_id_gets_desc_id_beside_it(office: Practice) -> None:
    office.mobile.run("alter table mbstaff drop column desc_id, add column des_id numeric(5)")
    office.mobile.insert("mbstaff", **staff(1001, des_id=7))
    office.desktop.insert("mbstaff", **staff(1001, desc_id=12))
    office.desktop.insert("mbstaff", **staff(1002, desc_id=13))

    migrate.migrate(office.mobile.dsn, metadata([DESKTOP]))
    result = office.forward("mbstaff")["mbstaff"]

    assert counted(result) == {"read": 2, "inserted": 1, "updated": 1}
    found = office.mobile.rows("select desc_id, des_id from mbstaff order by staff_id")
    assert [tuple(row.values()) for row in found] == [(12, 7), (13, None)]


def test_a_desktop_table_without_a_column_of_its_key_is_one_clear_error(office: Practice) -> None:
    office.desktop.run("alter table workdiary drop column wd_id")
    office.desktop.insert("mbreminder", **reminder())
    message = "table workdiary has no column wd_id, which is part of the key"

    with closing(PostgresReader(office.desktop.dsn, variable="DESKTOP_DSN")) as source:
        with pytest.raises(SourceRefused, match=message):
            source.read(DESKTOP["workdiary"], Scope(), Progress())
        stream = source.read(DESKTOP["reminder"], Scope(), Progress())
        assert [record["rem_id"] for batch in stream.batches for record in batch] == ["5001"]
