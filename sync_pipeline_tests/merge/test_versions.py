"""The history that the merge is for, on every PostgreSQL release found on this machine."""

from collections.abc import Iterator
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.errors import StoppedByGuard
from sync_pipeline.model.entity import Budget
from sync_pipeline_tests.fixtures.sample_system import DESK, Workbench, counted, shop


@pytest.fixture
def bench(every_server: EmbeddedServer) -> Iterator[Workbench]:
    name = f"versions_{uuid4().hex[:8]}"
    bench = Workbench(every_server.create_database(name))
    yield bench
    bench.connection.close()
    with psycopg.connect(every_server.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def test_a_table_that_people_edit_stays_in_step_with_its_source(bench: Workbench) -> None:
    waiting = bench.sync({"shop_id": "s1", "number": 1, "label": "A"}, entity=DESK)
    first = bench.sync(
        shop("s1", Size=3, Tags=["a", "b"], Rent="9.90"),
        shop("s2", Size=1) | {"Open?": "yes"},
        shop("s3"),
        shop("bad", Size="many"),
        mode="full",
        complete=True,
    )
    released = bench.sync(entity=DESK)
    bench.edit("s1", rent=11, note="ours", name="Our corner")
    bench.run("delete from shop where shop_id = 's3'")

    planned = bench.sync(shop("s1", 2, Size=4, Rent=12), shop("s3", 2), dry_run=True)
    second = bench.sync(
        shop("s1", 2, Size=4, Tags=["b"], Rent=12),
        shop("s3", 2),
        shop("s4"),
        mode="full",
        complete=True,
    )
    forced = bench.sync(shop("s1", 2, Size=4, Tags=["b"], Rent=12), force=True)

    assert counted(waiting) == {"read": 1, "parked": 1}
    assert counted(first) == {"read": 4, "inserted": 3, "rejected": 1}
    assert counted(released) == {"read": 1, "inserted": 1}
    assert counted(planned) == {"read": 2, "conflicted": 1, "deleted_locally": 1}
    assert counted(second) == {"read": 3, "inserted": 1, "conflicted": 1, "deleted_locally": 1}
    assert second.metadata["missing"] == 1
    assert counted(forced) == {"read": 1, "updated": 1}
    row = bench.shop("s1")
    assert (row["size"], row["tags"], row["rent"], row["note"]) == (4, ["b"], Decimal(12), "ours")
    assert row["name"] == "Corner"
    assert sorted(c["kind"] for c in bench.conflicts()) == ["deleted", "field"]


def test_an_unchanged_scan_writes_nothing_and_a_huge_change_is_stopped(bench: Workbench) -> None:
    entity = bench.entity("shop", budget=Budget())
    bench.sync(*[shop(f"s{i}", Size=i) for i in range(300)], entity=entity)
    before = bench.writes(*bench.co_owned)

    same = bench.sync(*[shop(f"s{i}", Size=i) for i in range(300)], entity=entity)
    changed = [shop(f"s{i}", 2, Size=-i) for i in range(300)]
    with pytest.raises(StoppedByGuard) as caught:
        bench.sync(*changed, entity=entity)

    assert counted(same) == {"read": 300, "unchanged": 300}
    assert bench.writes(*bench.co_owned) == before
    approved = bench.sync(*changed, entity=entity, approve=frozenset({caught.value.digest}))
    assert counted(approved) == {"read": 300, "updated": 300}


def test_failing_rows_are_found_among_many(bench: Workbench) -> None:
    bench.run("alter table shop add constraint size_check check (size >= 0)")
    records = [shop(f"s{i}", Size=-1 if i % 500 == 7 else i, Code=f"c{i}") for i in range(2000)]
    records += [shop("late", Code="c100"), shop("late", 2, Code="too long a code")]

    result = bench.sync(*records)

    assert counted(result) == {"read": 2002, "inserted": 1996, "rejected": 6}
    assert {r["constraint"] for r in bench.rejected()} == {"size_check", None}
