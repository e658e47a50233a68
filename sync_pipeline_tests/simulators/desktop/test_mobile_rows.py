"""The mobile app's database: what it holds already, and what of the desktop fits into it."""

from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from sync_pipeline.simulators.desktop.schema import DESKTOP_TABLES, MOBILE_TABLES
from sync_pipeline_tests.simulators.desktop.queries import KEYS, counts, names, number, rows_of

# On one worker, so that the full practice is made once.
pytestmark = pytest.mark.xdist_group("full practice")

DEFECTS_LEFT_OUT: dict[str, LiteralString] = {
    "jobshead": "sporg_id is not null",
    "mbremdetail": "rem_id in (select rem_id from mobile.reminder)",
}
MOBILE_NAMES = {"mbreminder": "reminder", "mbremdetail": "remdetail"}


def test_mobile_users_have_entered_some_hundred_rows(practice: psycopg.Connection):
    assert counts(practice, "mobile", "source = 'M'") == dict.fromkeys(MOBILE_TABLES, 0) | {
        "jobshead": 12,
        "jobtasks": 30,
        "taskchecklist": 10,
        "workdiary": 220,
        "reminder": 40,
        "remdetail": 60,
        "learequest": 35,
    }


def test_an_earlier_sync_left_the_masters_of_which_twelve_rows_differ_now(
    practice: psycopg.Connection,
):
    left = counts(practice, "mobile", "source is distinct from 'M'")
    known = {"orgmaster": 2, "locmaster": 1, "conmaster": 4, "climaster": 700, "mbstaff": 16}
    assert left == dict.fromkeys(MOBILE_TABLES, 0) | known
    differing = {}
    for table, key in (
        *(("orgmaster", "org_id"), ("locmaster", "loc_id"), ("conmaster", "con_id")),
        *(("climaster", "client_id"), ("mbstaff", "staff_id")),
    ):
        compare = sql.SQL(
            "select count(*) from desktop.{0} d join mobile.{0} m using ({1})"
            " where to_jsonb(d) - 'source'"
            " <> to_jsonb(m) - array['source', 'created_at', 'updated_at']"
        ).format(sql.Identifier(table), sql.Identifier(key))
        differing[table] = practice.execute(compare).fetchall()[0][0]
    assert {table: count for table, count in differing.items() if count} == {
        "conmaster": 1,
        "climaster": 9,
        "mbstaff": 2,
    }
    edited = "select count(*) from mobile.climaster where updated_at > created_at"
    assert number(practice, edited) == 1


def test_the_mobile_database_keeps_the_foreign_keys_that_its_migrations_kept(
    practice: psycopg.Connection,
):
    found = rows_of(
        practice,
        "select c.conrelid::regclass::text, a.attname, c.confrelid::regclass::text"
        " from pg_constraint c join pg_attribute a"
        " on a.attrelid = c.conrelid and a.attnum = c.conkey[1]"
        " where c.contype = 'f' and c.connamespace = 'mobile'::regnamespace",
    )
    columns = rows_of(
        practice,
        "select format('mobile.%s', table_name), column_name::text from information_schema.columns"
        " where table_schema = 'mobile'",
    )
    parents = {"org_id": "mobile.orgmaster", "loc_id": "mobile.locmaster"}
    expected = {
        (table, column, parents[column])
        for table, column in columns
        if column in parents and table != parents[column]
    }
    expected |= {
        ("mobile.remdetail", "rem_id", "mobile.reminder"),
        ("mobile.workdiary", "con_id", "mobile.conmaster"),
        ("mobile.workdiary", "staff_id", "mobile.mbstaff"),
        ("mobile.workdiary", "task_id", "mobile.taskmaster"),
        ("mobile.workdiary", "client_id", "mobile.climaster"),
    }
    assert set(found) == expected


def test_a_foreign_key_holds_and_an_update_moves_updated_at(practice: psycopg.Connection):
    with pytest.raises(psycopg.errors.ForeignKeyViolation), practice.transaction():
        practice.execute("update mobile.workdiary set staff_id = 1 where wd_id = 1")
    with practice.transaction(force_rollback=True):
        practice.execute("update mobile.reminder set remnotes = 'x' where source = 'M'")
        stamps = "select count(*) from mobile.reminder where updated_at = now()"
        assert number(practice, stamps) == 40


def test_two_reminders_and_a_job_of_the_app_have_the_keys_of_others_on_the_desktop(
    practice: psycopg.Connection,
):
    reminders = (
        "select count(*), count(*) filter (where d.remduedate = m.remduedate)"
        " from desktop.mbreminder d join mobile.reminder m using (rem_id)"
    )
    assert rows_of(practice, reminders) == [(2, 0)]
    jobs = (
        "select d.work_desc <> m.work_desc"
        " from desktop.jobshead d join mobile.jobshead m using (job_id, sporg_id)"
    )
    assert rows_of(practice, jobs) == [(True,)]
    others = (
        "select count(*) from mobile.jobtasks m join desktop.jobtasks d using (job_id, task_id)",
        "select count(*) from mobile.taskchecklist join desktop.taskchecklist using (task_id)",
        "select count(*) from mobile.remdetail join desktop.mbremdetail using (remdetid)",
    )
    assert [number(practice, query) for query in others] == [0, 0, 0]


def test_no_member_of_staff_is_in_two_places_at_a_time(practice: psycopg.Connection):
    overlapping = (
        "select count(*) from mobile.workdiary a join mobile.workdiary b"
        " on a.staff_id = b.staff_id and a.wd_id < b.wd_id"
        " and (a.timefrom, a.timeto) overlaps (b.timefrom, b.timeto)"
    )
    assert number(practice, overlapping) == 0
    minutes = (
        "select count(*) from mobile.workdiary"
        " where timeto - timefrom <> minutes * interval '1 minute' or date <> timefrom::date"
    )
    assert number(practice, minutes) == 0


def test_the_app_goes_on_numbering_where_the_rows_end(practice: psycopg.Connection):
    with practice.transaction(force_rollback=True):
        new = "insert into mobile.workdiary default values returning wd_id, source"
        assert practice.execute(new).fetchall() == [(221, "D")]


def test_everything_but_the_planted_defects_fits_into_it(practice: psycopg.Connection):
    with practice.transaction(force_rollback=True):
        landed = {table: _insert_into_mobile(practice, table) for table in DESKTOP_TABLES}
    assert landed == dict.fromkeys(DESKTOP_TABLES, 0) | {
        "climaster": 729 - 700,  # those are there
        "jobshead": 24_568 - 10 - 1 - 1,  # repeated, without a key, taken by a mobile job
        "jobtasks": 64_542 - 14,
        "taskchecklist": 2_894 - 5,
        "mbreminder": 121 - 2,  # taken by mobile reminders
        "mbremdetail": 65 - 2,
    }


def _insert_into_mobile(practice: psycopg.Connection, table: str) -> int:
    """Insert what is not there yet, in one statement, so that any row that does not fit fails it."""
    source = sql.Identifier("desktop", table)
    target = sql.Identifier("mobile", MOBILE_NAMES.get(table, table))
    shared = practice.execute(
        "select d.column_name::text from information_schema.columns d"
        " join information_schema.columns m using (column_name)"
        " where (d.table_schema, d.table_name) = ('desktop', %s)"
        " and (m.table_schema, m.table_name) = ('mobile', %s)",
        [table, MOBILE_NAMES.get(table, table)],
    ).fetchall()
    columns = names(tuple(name for (name,) in shared))
    key = KEYS.get(table)
    distinct = sql.SQL("distinct on ({})").format(names(key)) if key else sql.SQL("")
    statement = sql.SQL("insert into {} ({}) select {} {} from {} where {} on conflict do nothing")
    fits = sql.SQL(DEFECTS_LEFT_OUT.get(table, "true"))
    return practice.execute(
        statement.format(target, columns, distinct, columns, source, fits)
    ).rowcount
