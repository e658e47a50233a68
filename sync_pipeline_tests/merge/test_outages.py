"""The target goes away in the middle of a merge: it is waited for, and the source is not asked again."""

import datetime as dt
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.errors import TargetUnavailable
from sync_pipeline.merge import session, stage
from sync_pipeline.merge.session import Target
from sync_pipeline.postgres.connect import connect
from sync_pipeline_tests.dev.embedded_postgres.servers import restart
from sync_pipeline_tests.fixtures.postgres import passable_directory
from sync_pipeline_tests.fixtures.sample_system import Workbench, copied, counted, shop
from sync_pipeline_tests.merge.fault_injection import (
    PLACES,
    CutWire,
    Source,
    await_blocked,
    before,
    held,
    in_background,
    incoming,
    merged_as_ever,
)

pytestmark = pytest.mark.xdist_group("outages")  # one server of its own for all of them


@pytest.fixture(scope="module")
def fragile() -> Iterator[EmbeddedServer]:
    """A server that nobody minds losing."""
    with (
        passable_directory() as path,
        EmbeddedServer(path / "server", durable=False) as server,
    ):
        Workbench(server.create_database("shops_template")).connection.close()
        yield server


@pytest.fixture
def bench(fragile: EmbeddedServer) -> Iterator[Workbench]:
    with copied(fragile, "shops_template") as bench:
        bench.sync(*before())
        yield bench


def crash(server: EmbeddedServer, bench: Workbench) -> None:
    """End the server as a power cut does, and start it again."""
    restart(server, immediate=True)
    bench.connection.close()
    bench.connection = connect(bench.dsn)


def test_a_crash_while_the_source_is_read_goes_unnoticed(
    bench: Workbench, fragile: EmbeddedServer
) -> None:
    first, second = incoming()[:2], incoming()[2:]
    source = Source(first, lambda: crash(fragile, bench), second)

    [result] = bench.merge(source.stream(bench))

    merged_as_ever(bench, result)
    assert source.asked == 1


def test_what_was_sent_before_the_crash_is_sent_again(
    bench: Workbench, fragile: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "CHUNK", 2)
    many = [
        shop(f"n{i:02}", 2, Size=i if i % 7 else "bad", Code=f"{i:09}"[i % 5 :]) for i in range(60)
    ]
    pages = [many[i : i + 5] for i in range(0, 60, 5)]
    source = Source(*pages[:6], lambda: crash(fragile, bench), *pages[6:])

    [result] = bench.merge(source.stream(bench))

    bad = {r["_id"] for r in many if r["Size"] == "bad" or len(r["Code"]) > 8}
    assert counted(result) == {"read": 60, "inserted": 60 - len(bad), "rejected": len(bad)}
    assert {r["key"]["shop_id"] for r in bench.rejected()} == bad
    assert source.asked == 1


@pytest.mark.parametrize("place", PLACES)
def test_a_crash_at_any_place_of_the_merge_is_survived(
    bench: Workbench, fragile: EmbeddedServer, place: str
) -> None:
    source = Source(incoming())

    with (
        held(bench, PLACES[place]),
        in_background(lambda: bench.merge(source.stream(bench))) as work,
    ):
        await_blocked(bench, work)
        crash(fragile, bench)
        [result] = work.result()

    merged_as_ever(bench, result)
    assert source.asked == 1


def test_a_commit_whose_answer_is_lost_is_neither_repeated_nor_denied(bench: Workbench) -> None:
    source, wire = Source(incoming()), CutWire(bench.dsn)
    target = Target(lambda name: connect(wire.dsn(), application_name=name))

    [result] = bench.merge(source.stream(bench), target=target)

    assert wire.cut
    merged_as_ever(bench, result)
    assert source.asked == 1


def test_a_retried_step_does_not_take_the_first_attempt_for_its_own(bench: Workbench) -> None:
    run_id = uuid4()
    bench.sync(shop("s1", 2, Size=2), run_id=run_id)
    with bench.open() as other:
        kill = (
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name like 'sync_pipeline shops/%'"
        )
        source = Source([shop("s1", 3, Size=3)], lambda: other.execute(kill))

        [result] = bench.merge(source.stream(bench), run_id=run_id)

    assert counted(result) == {"read": 1, "updated": 1}
    assert bench.shop()["size"] == 3


def test_a_target_that_stays_away_fails_the_run_and_nothing_is_written(
    bench: Workbench, fragile: EmbeddedServer
) -> None:
    source = Source(incoming(), lambda: fragile.stop(force=True))

    with pytest.raises(TargetUnavailable) as caught:
        bench.merge(
            source.stream(bench), target=bench.target(outage=dt.timedelta(milliseconds=300))
        )

    fragile.start()
    bench.connection.close()
    bench.connection = connect(bench.dsn)
    assert "\n" not in str(caught.value)
    assert bench.shop()["size"] == 1
    assert counted(bench.sync(*incoming()))["inserted"] == 1


def test_a_merge_that_brings_its_own_session_down_gives_up(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MAX_OUTAGES", 2)
    bench.run(
        "create function die() returns trigger language plpgsql as"
        " $$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$"
    )
    bench.run("create trigger die before insert on shop for each row execute function die()")

    with pytest.raises(TargetUnavailable, match="the connection was lost 3 times") as caught:
        bench.sync(*incoming())

    assert "\n" not in str(caught.value)
    assert bench.shop()["size"] == 1


def test_what_another_run_merged_while_the_target_was_away_is_not_overwritten(
    bench: Workbench, fragile: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "CHUNK", 1)
    back = threading.Event()
    back.set()

    def connect_when_back(name: str) -> psycopg.Connection[Any]:
        if not back.is_set():
            raise TargetUnavailable("not for this run yet")
        return connect(bench.dsn, application_name=name)

    def meanwhile() -> None:
        back.clear()
        crash(fragile, bench)
        bench.sync(shop("s2", 5, Size=5))
        back.set()

    source = Source([shop("s2", Size=1)], [shop("s1", Size=1)], meanwhile, [shop("s3")])
    with pytest.raises(
        TargetUnavailable, match="another run merged shop while the target was away"
    ):
        bench.merge(source.stream(bench), target=Target(connect_when_back))

    assert bench.shop("s2")["size"] == 5
    assert bench.base("s2")["size"] == 5
    assert bench.rows("select * from shop where shop_id = 's3'") == []
