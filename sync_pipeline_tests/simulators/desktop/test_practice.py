"""Making the practice: the same rows for a seed, at any scale, and only where there are none."""

import re
from collections import Counter

import psycopg
import pytest
from psycopg import sql

from sync_pipeline.postgres.connect import connect
from sync_pipeline.simulators.desktop import value_generators
from sync_pipeline.simulators.desktop.desktop_rows import desktop_rows
from sync_pipeline.simulators.desktop.mobile_rows import mobile_rows
from sync_pipeline.simulators.desktop.practice import make_desktop, make_mobile
from sync_pipeline.simulators.desktop.schema import MOBILE_TABLES
from sync_pipeline_tests.simulators.desktop.queries import KEYS, number, use_schema


def test_the_same_seed_gives_the_same_rows_and_another_seed_others():
    assert desktop_rows(1, 0.01) == desktop_rows(1, 0.01)
    assert mobile_rows(1, 0.01) == mobile_rows(1, 0.01)
    one, other = desktop_rows(1, 0.01), desktop_rows(2, 0.01)
    assert {table: len(rows) for table, rows in one.items()} == {
        table: len(rows) for table, rows in other.items()
    }
    for table in ("conmaster", "climaster", "mbstaff", "jobshead", "jobtasks", "taskchecklist"):
        assert one[table] != other[table]
    assert mobile_rows(1, 0.01)["workdiary"] != mobile_rows(2, 0.01)["workdiary"]


@pytest.mark.parametrize("seed", range(5))
def test_the_smallest_practice_holds_all_the_planted_defects(seed: int):
    desktop, mobile = desktop_rows(seed, 0.0), mobile_rows(seed, 0.0)
    for table, surplus in (("jobshead", 10), ("jobtasks", 14), ("taskchecklist", 5)):
        keys = Counter(tuple(row[name] for name in KEYS[table]) for row in desktop[table])
        assert keys.total() - len(keys) == surplus
    jobs = Counter(row["job_id"] for row in desktop["jobshead"])
    assert max(jobs.values()) >= 24
    assert sum(row["sporg_id"] is None for row in desktop["jobshead"]) == 1
    known = {row["client_id"] for row in desktop["climaster"]}
    assert known >= {row["client_id"] for row in mobile["climaster"]}
    taken = {(row["job_id"], row["sporg_id"]) for row in desktop["jobshead"]}
    assert sum((row["job_id"], row["sporg_id"]) in taken for row in mobile["jobshead"]) == 1


def test_a_practice_that_exists_is_left_alone(database: str):
    with connect(database) as connection:
        use_schema(connection, "desktop")
        assert make_desktop(connection, scale=0.01)
        assert not make_desktop(connection, scale=0.01, seed=2)
        assert number(connection, "select count(*) from jobshead") == 246
        use_schema(connection, "mobile")
        assert make_mobile(connection, scale=0.01)
        assert not make_mobile(connection, scale=0.01, seed=2)
        # What people entered is enough of a reason, even where nothing was synced yet.
        connection.execute("truncate orgmaster cascade")
        assert number(connection, "select count(*) from workdiary") == 0
        connection.execute("insert into workdiary (source) values ('M')")
        assert not make_mobile(connection, scale=0.01)


def test_tables_that_a_migration_made_are_filled_as_they_are(database: str):
    with connect(database) as connection:
        use_schema(connection, "mobile")
        make_mobile(connection, scale=0.01)
        use_schema(connection, "bare")
        copy = sql.SQL("create table {} (like {} including defaults)")
        for table in MOBILE_TABLES:
            of_app = sql.Identifier("mobile", table)
            connection.execute(copy.format(sql.Identifier(table), of_app))
        assert make_mobile(connection, scale=0.01)
        assert number(connection, "select count(*) from workdiary") == 220
        added = (
            "select (select count(*) from pg_trigger t join pg_class c on c.oid = tgrelid"
            " where c.relnamespace = 'bare'::regnamespace) + (select count(*) from pg_constraint"
            " where connamespace = 'bare'::regnamespace and contype <> 'n')"
        )
        assert number(connection, added) == 0


def test_a_failure_leaves_nothing_behind(database: str, monkeypatch: pytest.MonkeyPatch):
    broken = desktop_rows(1, 0.01)
    broken["mbremdetail"][-1]["remdetid"] = 10**9
    monkeypatch.setattr("sync_pipeline.simulators.desktop.practice.desktop_rows", lambda *_: broken)
    with connect(database) as connection:
        with pytest.raises(psycopg.errors.NumericValueOutOfRange):
            make_desktop(connection, scale=0.01)
        assert number(connection, "select count(*) from pg_tables where schemaname = 'public'") == 0


def test_nobody_in_it_is_real():
    desktop, mobile = desktop_rows(1, 0.05), mobile_rows(1, 0.05)
    words = {
        word
        for names in (
            *(
                value_generators.GIVEN_NAMES,
                value_generators.FAMILY_NAMES,
                value_generators.FIRM_WORDS,
            ),
            *(value_generators.FIRM_TRADES, value_generators.FIRM_FORMS),
        )
        for name in names
        for word in name.split()
    }
    for rows in (desktop, mobile):
        people = [*rows["conmaster"], *rows["climaster"], *rows["mbstaff"]]
        for row in people:
            name = row.get("conname") or row.get("clientname") or row["name"]
            assert set(name.split()) <= words
        values = [str(value) for row in people for value in row.values()]
        assert all(value.endswith("@example.com") for value in values if "@" in value)
        phones = [value for value in values if value.startswith("+")]
        assert phones
        assert all(re.fullmatch(r"\+91 00000 \d{5}", phone) for phone in phones)
