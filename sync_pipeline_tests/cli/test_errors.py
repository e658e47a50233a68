"""What goes wrong around a command: the source, the target, its own death. Each fault really happens."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.simulators.bubble.simulator import BubbleSimulator
from sync_pipeline.simulators.faults import Fault
from sync_pipeline_tests.dev.embedded_postgres.servers import restart
from sync_pipeline_tests.fixtures import fork_server
from sync_pipeline_tests.fixtures.command_line import TIMEOUT_S, Command, kill, until


def unreachable(dsn: str) -> str:
    """The same database on a port where nobody listens."""
    parts = conninfo_to_dict(dsn) | {"port": "1"}
    return make_conninfo("", **parts)


# -- what cannot be reached


def test_an_unreachable_target_is_one_line(command: Command) -> None:
    dsn = unreachable(command.target)
    for arguments in (["history"], ["migrate"], ["sync", "bubble"]):
        finished = command(*arguments, code=1, SYNC_TARGET_DSN=dsn)
        assert "127.0.0.1:1/" in finished.error
        assert "Connection refused" in finished.error
        assert "SYNC_TARGET_DSN" in finished.error


def test_a_wrong_password_is_one_line_without_the_password(command: Command) -> None:
    parts = conninfo_to_dict(command.target) | {"password": "never-show-this"}
    dsn = make_conninfo("", **parts)
    command.secrets.add("never-show-this")
    finished = command("history", "--json", code=1, SYNC_TARGET_DSN=dsn)
    assert "password authentication failed" in finished.error
    assert finished.json == {"status": "failed", "errors": [finished.error]}
    assert (
        "connection string" in command("history", code=1, SYNC_TARGET_DSN="?never-show-this").error
    )


def test_an_unreachable_dagster_database_is_one_line(command: Command) -> None:
    dsn = unreachable(command.environment["SYNC_DAGSTER_DSN"])
    finished = command("sync", "bubble", code=1, SYNC_DAGSTER_DSN=dsn)
    assert "Connection refused" in finished.error
    assert "SYNC_DAGSTER_DSN" in finished.error
    command("history", SYNC_DAGSTER_DSN=dsn)  # which has no need of it


def test_doctor_names_everything_that_cannot_be_reached(
    command: Command, app: BubbleSimulator
) -> None:
    app.stop()
    dsn = unreachable(command.target)
    away = {"SYNC_TARGET_DSN": dsn, "SYNC_DAGSTER_DSN": dsn, "SYNC_SOURCE_OUTAGE": "1"}
    found = command("doctor", "--json", code=1, **away).json["findings"]
    errors = [f["where"] for f in found if f["severity"] == "error"]
    assert errors == ["target", "dagster", "bubble source"]
    assert {f["severity"] for f in found[3:]} == {"note"}
    assert "SYNC_TARGET_DSN" in found[0]["remedy"]
    assert "SYNC_DAGSTER_DSN" in found[1]["remedy"]
    assert "BUBBLE_API_URL" in found[2]["problem"]


def test_a_target_without_tables_says_what_to_run(fresh_command: Command) -> None:
    for arguments in (["sync", "bubble"], ["history"]):
        assert "sync-pipeline migrate" in fresh_command(*arguments, code=1).error


def test_an_unreachable_source_says_which_and_what_to_set(
    command: Command, app: BubbleSimulator
) -> None:
    app.stop()
    finished = command("sync", "bubble", "--json", code=1, SYNC_SOURCE_OUTAGE="1")
    report = finished.json
    assert report["status"] == "failed"
    assert report["skipped"]
    error = report["errors"][0]
    assert "Bubble" in error
    assert "refused" in error.lower() or "ConnectError" in error
    assert "BUBBLE_API_URL" in error


def test_a_refused_token_says_what_to_check_at_once(command: Command, app: BubbleSimulator) -> None:
    command.secrets.add("a-wrong-token")
    app.stats.reset()
    report = command("sync", "bubble", "--json", code=1, BUBBLE_API_TOKEN="a-wrong-token").json
    assert any("401" in error and "BUBBLE_API_TOKEN" in error for error in report["errors"])
    assert app.stats.total <= 3


# -- a source that falters


def test_transient_faults_of_the_source_are_retried(
    migrated_command: Command, app: BubbleSimulator
) -> None:
    app.faults.add(
        Fault(kind="status", status=429, type="agent", times=2),
        Fault(kind="status", status=429, type="user", times=1, headers={"Retry-After": "1"}),
        Fault(kind="reset", type="customer_profile", times=1),
        Fault(kind="truncate", type="invoice", times=1),
        Fault(kind="cut", type="payment", times=1),
        Fault(kind="garbage", body="html", type="invoice_item", times=1),
        Fault(kind="status", status=503, body="html", type="seda_registration", times=1),
    )
    finished = migrated_command("sync", "bubble", "--full", "--json", code=4)
    assert app.faults.fired == 8
    assert all("rejected" in error for error in finished.json["errors"])
    for entity, counts in finished.json["entities"].items():
        assert counts["inserted"] + counts["rejected"] == counts["read"] > 0, entity
    assert "trying again in" in finished.err


def test_an_entity_that_cannot_be_read_fails_alone_and_within_the_budget(
    command: Command, app: BubbleSimulator
) -> None:
    app.options.page_limit = 20
    app.options.disabled_types = ("payment",)
    app.faults.add(Fault(kind="status", status=500, type="invoice_item", nth=5))
    mark = "select last_sync_timestamp from _sync_metadata where table_name = 'invoice_item'"
    before = command.value(mark)
    finished = command("sync", "bubble", "--full", code=4, SYNC_SOURCE_OUTAGE="2")
    assert re.search(r"^payment +· .* failed", finished.out, re.MULTILINE)
    assert re.search(r"^invoice_item +· .* failed", finished.out, re.MULTILINE)
    assert re.search(r"^invoice +86 .* yes", finished.out, re.MULTILINE)
    assert "what they build on failed: invoice_seda_links, seda_customer_links" in finished.words()
    assert "Enable the type “payment”" in finished.out
    assert "obj/invoice_item kept failing" in finished.out
    assert "status 500" in finished.out
    run = command.row("select duration_ms from sync_history order by created_at desc limit 1")
    assert run["duration_ms"] < 60_000
    assert command.value(mark) == before
    assert command.value("select count(*) from invoice_item") == 352
    nothing_secret_is_written(command)


def nothing_secret_is_written(command: Command) -> None:
    """Neither below SYNC_HOME nor in Dagster's own log of the run."""
    with psycopg.connect(command.environment["SYNC_DAGSTER_DSN"]) as connection:
        written = [row[0] for row in connection.execute("select event from event_logs")]
        written += [row[0] for row in connection.execute("select run_body from runs")]
    assert len(written) > 100
    written += [p.read_text(errors="replace") for p in command.home.rglob("*") if p.is_file()]
    for text in written:
        for secret in command.secrets:
            assert secret not in text


# -- the command's own death

SEEN = (
    "select (select count(*) from invoice_item) as rows,"
    " (select count(*) from sync_base.bubble__invoice_item) as base,"
    " (select last_sync_timestamp from _sync_metadata where table_name = 'invoice_item') as mark"
)
LOCKS = (
    "select count(*) from pg_locks where locktype = 'advisory'"
    " and database = (select oid from pg_database where datname = current_database())"
)
WAITING = (
    "select count(*) from pg_stat_activity where datname = current_database()"
    " and wait_event_type = 'Lock'"
)


@contextmanager
def held_up_while_fetching(app: BubbleSimulator) -> Iterator[None]:
    """The second page of invoice items never comes; everything before them is merged."""
    app.options.page_limit = 50
    app.faults.add(Fault(kind="stall", type="invoice_item", nth=2, seconds=TIMEOUT_S))
    yield


def is_fetching(app: BubbleSimulator) -> bool:
    return app.stats.by_type["invoice_item"] > 1


@contextmanager
def held_up_while_merging(command: Command) -> Iterator[None]:
    """Somebody holds the items' base, so that the merge waits in the middle of its writes."""
    with command.connection() as connection, connection.transaction():
        connection.execute("lock table sync_base.bubble__invoice_item in share mode")
        yield


@pytest.mark.parametrize("moment", ["fetching", "merging"])
def test_a_killed_sync_leaves_nothing_behind(
    migrated_command: Command, app: BubbleSimulator, moment: str
) -> None:
    command = migrated_command
    before = command.row(SEEN)
    with held_up_while_fetching(app) if moment == "fetching" else held_up_while_merging(command):
        process = command.start("sync", "bubble")
        if moment == "fetching":
            until(lambda: is_fetching(app), "items to be fetched")
        else:
            until(lambda: command.value(WAITING), "the merge to wait")
        kill(process)
    app.faults.clear()
    until(lambda: command.value(LOCKS) == 0, "the locks to go")
    assert command.row(SEEN) == before
    assert command.value("select count(*) from invoice") > 0  # what was committed before stands
    killed = command.row("select id::text, status from sync_history")
    assert killed["status"] == "running"

    finished = command("sync", "bubble", "--json", code=4)
    assert finished.json["entities"]["invoice_item"]["inserted"] == 352
    assert finished.json["entities"]["invoice"]["updated"] == 0
    earlier = command.row("select * from sync_history where id = %s", killed["id"])
    assert earlier["status"] == "partial_success"
    assert "killed" in earlier["metadata"]["error"]
    assert earlier["duration_ms"] is not None
    assert dagster_status(command, killed["id"]) == "FAILURE"


def dagster_status(command: Command, run_id: str) -> str:
    with psycopg.connect(command.environment["SYNC_DAGSTER_DSN"]) as connection:
        [(status,)] = connection.execute("select status from runs where run_id = %s", [run_id])
        return status


def test_a_signal_ends_a_sync_in_good_order(
    migrated_command: Command, app: BubbleSimulator
) -> None:
    command = migrated_command
    with held_up_while_fetching(app):
        process = command.start("sync", "bubble", "--json")
        until(lambda: is_fetching(app), "items to be fetched")
        process.send_signal(signal.SIGTERM)
        finished = command.wait(process, 20)
    assert finished.code == 130
    assert finished.json["errors"] == ["interrupted"]
    assert command.value("select count(*) from invoice_item") == 0
    run = command.row("select id::text, status, duration_ms from sync_history")
    assert run["status"] == "partial_success"
    assert run["duration_ms"] > 0
    assert command.value(LOCKS) == 0
    assert dagster_status(command, run["id"]) in {"FAILURE", "CANCELED"}


# -- a target that goes away, and others at work on it


@contextmanager
def own_server(directory: Path, app: BubbleSimulator) -> Iterator[tuple[EmbeddedServer, Command]]:
    """A server that a test may restart, and the command on it."""
    with EmbeddedServer(directory / "server", durable=False) as server:
        environment = {
            "SYNC_TARGET_DSN": server.create_database("target"),
            "SYNC_DAGSTER_DSN": server.create_database("dagster"),
            "BUBBLE_API_URL": app.url,
            "BUBBLE_API_TOKEN": app.token,
        }
        command = Command(directory / "home", environment, {app.token}, fork_server.program())
        command("migrate")
        yield server, command


def test_a_target_that_crashes_costs_no_second_read_of_the_source(
    directory: Path, app: BubbleSimulator
) -> None:
    app.options.page_limit = 50
    app.options.latency_ms = 100.0
    with own_server(directory, app) as (server, command):
        process = command.start("sync", "bubble", "--json")
        until(lambda: is_fetching(app), "items to be fetched")
        restart(server, immediate=True)
        finished = command.wait(process)
        assert finished.code == 4, finished.err
        asked = [answered.call.url for answered in app.stats.recent]
        assert len(asked) == len(set(asked)) == finished.json["api_calls"]
        assert sum(counts["inserted"] for counts in finished.json["entities"].values()) == 657
        assert command.value("select count(*) from invoice_item") == 352
        assert command.value("select status from sync_history") == "partial_success"


def test_two_syncs_at_once_wait_for_each_other(
    migrated_command: Command, app: BubbleSimulator
) -> None:
    app.options.latency_ms = 30.0
    processes = [migrated_command.start("sync", "bubble", "--json") for _ in range(2)]
    both = [migrated_command.wait(process) for process in processes]
    assert {finished.code for finished in both} <= {0, 4}
    counts = [c for finished in both for c in finished.json["entities"].values()]
    assert sum(c["inserted"] for c in counts) == 657
    assert sum(c["updated"] + c["conflicted"] + c["duplicates"] for c in counts) == 0
    statuses = migrated_command.rows("select status from sync_history")
    assert {row["status"] for row in statuses} <= {"completed", "partial_success"}
    assert migrated_command.value(LOCKS) == 0


def test_an_entity_that_another_session_holds_is_named(command: Command) -> None:
    with command.connection() as connection:
        connection.execute(
            "select pg_advisory_lock(hashtextextended('sync_pipeline public.agent', 0))"
        )
        finished = command("sync", "bubble", "agent", "--json", code=1, SYNC_LOCK_WAIT="1")
    [error] = finished.json["errors"]
    assert "bubble/agent is being synced by another run" in error
