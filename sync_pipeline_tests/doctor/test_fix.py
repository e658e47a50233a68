"""`doctor --fix` by the command: it leaves a target that runs go into, and a dry run writes nothing."""

import psycopg
import pytest

from sync_pipeline.postgres.connect import connect
from sync_pipeline_tests.fixtures.command_line import Invoke

BROKEN = """
create table payment (bubble_id text, modified_date timestamptz, amount numeric);
insert into payment values ('twice', '2026-01-01', 1), ('twice', '2026-01-02', 2), ('once', null, 3);
create table agent (bubble_id text);
insert into agent values ('a'), ('a');
"""


def objects(dsn: str) -> list[tuple[str, ...]]:
    """Every relation and every payment of a database."""
    with connect(dsn) as connection:
        relations = connection.execute(
            "select relname, relkind::text, pg_get_indexdef(oid) from pg_class"
            " where relnamespace::regnamespace::text not like 'pg\\_%' order by 1"
        ).fetchall()
        payments = connection.execute("select p::text from payment p order by 1").fetchall()
    return [*relations, *payments]


def test_doctor_fix_leaves_a_target_that_runs_go_into(
    database: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNC_TARGET_DSN", database)
    with connect(database) as connection:
        connection.execute(BROKEN.encode())
        # What a failed CREATE INDEX CONCURRENTLY leaves behind.
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("create unique index concurrently x on agent (bubble_id)")
    before = objects(database)

    planned = invoke("doctor", "--fix", "--dry-run", "--json", code=1).json

    assert objects(database) == before
    migration = planned["reports"][0]
    assert (migration["where"], migration["status"]) == ("migration", "planned")
    assert any("CREATE TABLE" in s and "invoice" in s for s in migration["sql"])
    assert {r["status"] for r in planned["reports"]} == {"planned"}
    [crowded] = [
        f for f in planned["findings"] if f["kind"] == "repeated" and "twice" in f["problem"]
    ]
    assert crowded["cost"].startswith("no unique index can be created")

    done = invoke("doctor", "--fix", "--json").json

    assert done["status"] == "completed"
    assert [r["where"] for r in done["reports"]] == ["migration", "bubble/agent", "bubble/payment"]
    assert {r["status"] for r in done["reports"]} == {"done"}
    assert done["reports"][0]["lines"] == migration["lines"]
    with connect(database) as connection:
        rows = connection.execute(
            "select bubble_id, amount::int from payment order by 1"
        ).fetchall()
    assert rows == [("once", 3), ("twice", 2)]
    again = invoke("doctor", "--fix").words()
    assert "All is well" in again
    assert "done" not in again


def test_a_dry_run_without_a_fix_is_a_mistake(invoke: Invoke) -> None:
    assert "--dry-run goes with --fix" in invoke("doctor", "--dry-run", code=2).err
