"""The desktop's database: of the size and with the dirt of the real one."""

import psycopg
import pytest
from psycopg import sql

from sync_pipeline.simulators.desktop.schema import DESKTOP_TABLES
from sync_pipeline_tests.simulators.desktop.queries import (
    KEYS,
    SIZES,
    counts,
    names,
    number,
    rows_of,
)

# On one worker, so that the full practice is made once.
pytestmark = pytest.mark.xdist_group("full practice")


def test_the_desktop_has_the_sizes_of_the_real_one(practice: psycopg.Connection):
    assert counts(practice, "desktop", "true") == SIZES
    assert sum(SIZES.values()) == 92_942


def test_the_desktop_has_no_keys_no_constraints_and_no_timestamps(practice: psycopg.Connection):
    columns = rows_of(
        practice,
        "select table_name, array_agg(column_name::text order by ordinal_position),"
        " bool_and(is_nullable = 'YES' and column_default is null)"
        " from information_schema.columns where table_schema = 'desktop' group by 1",
    )
    assert {table for table, _, _ in columns} == set(DESKTOP_TABLES)
    assert all(listed[-1] == "source" and is_bare for _, listed, is_bare in columns)
    every_column = {name for _, listed, _ in columns for name in listed}
    assert every_column.isdisjoint({"created_at", "updated_at", "jt_id", "tc_id"})
    indexes = "select count(*) from pg_indexes where schemaname = 'desktop'"
    assert number(practice, indexes) == 0


def test_most_clients_and_all_staff_name_no_contact(practice: psycopg.Connection):
    sorts = dict(
        rows_of(
            practice,
            "select case when con_id is null then 'null' when con_id = 0 then '0'"
            " when exists (select from desktop.conmaster m where m.con_id = c.con_id) then 'good'"
            " else 'dangling' end, count(*) from desktop.climaster c group by 1",
        )
    )
    assert set(sorts) == {"null", "0", "good", "dangling"}
    assert sorts["good"] == 729 - 594
    staff = (
        "select count(*) from desktop.mbstaff s where con_id is not null"
        " and not exists (select from desktop.conmaster m where m.con_id = s.con_id)"
    )
    assert number(practice, staff) == 16


def test_two_in_three_jobs_are_for_clients_that_no_longer_exist(practice: psycopg.Connection):
    gone = (
        "select count(*) from desktop.jobshead j"
        " where not exists (select from desktop.climaster c where c.client_id = j.client_id)"
    )
    assert 0.63 < number(practice, gone) / SIZES["jobshead"] < 0.65


def test_jobs_are_there_once_per_person_the_worst_24_times(practice: psycopg.Connection):
    people = (
        "select count(distinct sporg_id), count(distinct client_id)"
        " from desktop.jobshead group by job_id order by 1 desc"
    )
    found = rows_of(practice, people)
    assert found[0][0] == 24
    assert sum(people > 1 for people, _ in found) > 100
    assert {clients for _, clients in found} == {1}


@pytest.mark.parametrize(
    ("table", "times"),
    [("jobshead", [2] * 8 + [3]), ("jobtasks", [2] * 14), ("taskchecklist", [2] * 5)],
)
def test_some_keys_are_there_more_than_once(
    practice: psycopg.Connection, table: str, times: list[int]
):
    query = sql.SQL(
        "select count(*), count(distinct t::text) from desktop.{} t group by {}"
        " having count(*) > 1 order by 1"
    ).format(sql.Identifier(table), names(KEYS[table]))
    found = practice.execute(query).fetchall()
    assert [count for count, _ in found] == times
    # Exactly equal rows as well as rows that contradict each other; the worst has three versions.
    assert {different for _, different in found} == set(range(1, max(times) + 1))


def test_some_records_lack_what_they_need(practice: psycopg.Connection):
    jobs = "select count(*) from desktop.jobshead where sporg_id is null"
    assert number(practice, jobs) == 1
    checklists = (
        "select count(distinct checklistdesc) from desktop.taskchecklist where task_id is null"
    )
    assert number(practice, checklists) == 3
    answers = (
        "select count(*) from desktop.mbremdetail d"
        " where not exists (select from desktop.mbreminder r where r.rem_id = d.rem_id)"
        " and not exists (select from mobile.reminder r where r.rem_id = d.rem_id)"
    )
    assert number(practice, answers) == 2


def test_some_codes_are_blank_and_some_texts_padded(practice: psycopg.Connection):
    padded = (
        "select count(*) filter (where octet_length(job_nature) = 1 and job_nature = ''),"
        " count(*) filter (where job_status = ''),"
        " count(*) filter (where work_desc like '% ') from desktop.jobshead"
    )
    assert min(rows_of(practice, padded)[0]) > 20


def test_the_owner_is_never_named_in_master_data_and_half_the_time_elsewhere(
    practice: psycopg.Connection,
):
    owned = counts(practice, "desktop", "source = 'D'")
    assert counts(practice, "desktop", "source <> 'D'") == dict.fromkeys(DESKTOP_TABLES, 0)
    for table, size in SIZES.items():
        is_master = table.endswith("master") or table == "mbstaff" or not size
        assert owned[table] == 0 if is_master else 0.3 < owned[table] / size < 0.7
