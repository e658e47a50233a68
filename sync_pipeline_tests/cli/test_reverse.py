"""Commands with `--reverse`: they read and write the desktop database, and name the next command there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from sync_pipeline.cli.migration import migrate_all
from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.merge import guard
from sync_pipeline.merge.relations import Relations
from sync_pipeline.settings import Settings
from sync_pipeline.systems.desktop.reverse import REVERSE
from sync_pipeline_tests.fixtures import fork_server
from sync_pipeline_tests.fixtures.command_line import Command, Invoke
from sync_pipeline_tests.fixtures.desktop import Practice, copied

Row = dict[str, Any]
TABLES = ("jobshead", "desktop/workdiary", "reminder")


@dataclass
class Synced:
    """The simulated practice after one run back; the template of what each test gets."""

    report: Row
    run_id: str


@pytest.fixture(scope="module")
def synced(
    server: EmbeddedServer,
    desktop_server: EmbeddedServer,
    practice_templates: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Synced:
    """Databases named `cli`, in which a process of the command's own has synced some tables back."""
    for place, side in ((desktop_server, "desktop"), (server, "mobile")):
        copy(place, f"{side}_used", f"{side}_cli")
    environment = {
        "SYNC_TARGET_DSN": server.dsn("mobile_cli"),
        "SYNC_DAGSTER_DSN": server.create_database("cli_reverse_dagster"),
        "DESKTOP_DSN": desktop_server.dsn("desktop_cli"),
    }
    command = Command(
        tmp_path_factory.mktemp("reverse"), environment, program=fork_server.program()
    )
    report = command("sync", "desktop", *TABLES, "--reverse", "--json").json
    return Synced(report, report["run_id"])


def copy(server: EmbeddedServer, template: str, name: str) -> None:
    statement = sql.SQL("create database {} template {} strategy file_copy")
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))


@pytest.fixture
def practice(
    server: EmbeddedServer,
    desktop_server: EmbeddedServer,
    synced: Synced,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Practice]:
    """Both databases after that run, named in the environment."""
    with copied(server, desktop_server, "cli") as practice:
        monkeypatch.setenv("SYNC_TARGET_DSN", practice.mobile.dsn)
        monkeypatch.setenv("DESKTOP_DSN", practice.desktop.dsn)
        yield practice


def test_a_reverse_run_reports_every_entity_balanced(synced: Synced) -> None:
    assert synced.report["status"] == "completed"
    entities = synced.report["entities"]
    assert len(entities) == len(TABLES)
    for counts in entities.values():
        assert counts["read"] == counts["inserted"] + counts["owned_elsewhere"]
    assert entities["jobshead"]["owned_elsewhere"] == 1
    assert entities["workdiary"]["inserted"] == 220


# -- what was done


def test_history_lists_each_databases_own_runs_and_names_the_others(
    practice: Practice, invoke: Invoke, synced: Synced
) -> None:
    back = invoke("history", "--reverse")
    assert synced.run_id[:8] in back.out
    assert "desktop delta" in back.out
    assert "history RUN --reverse" in back.out
    assert "into the desktop database" not in back.out
    here = invoke("history")
    assert "Nothing was synced yet: sync-pipeline sync bubble" in here.out
    assert "sync-pipeline history --reverse shows the run into the desktop database" in here.out
    assert invoke("history", "--json").json == {"runs": []}
    [run] = invoke("history", "--reverse", "--json").json["runs"]
    assert run["run_id"] == synced.run_id


def test_one_run_back_is_shown_as_sync_shows_it(
    practice: Practice, invoke: Invoke, synced: Synced
) -> None:
    shown = invoke("history", synced.run_id[:8], "--reverse").out
    assert "desktop, reverse (into the desktop database)" in shown
    assert "workdiary" in shown
    assert f"run {synced.run_id}" in shown


@pytest.mark.parametrize("asked", ["undo", "history"])
def test_a_run_that_is_not_here_may_be_one_into_the_desktop_database(
    practice: Practice, invoke: Invoke, synced: Synced, asked: str
) -> None:
    error = invoke(asked, synced.run_id[:8], code=1).error
    assert (
        "see: sync-pipeline history, and for runs into the desktop database add --reverse" in error
    )
    beyond = invoke(asked, "abcd", "--reverse", code=1).error
    assert beyond.endswith("see: sync-pipeline history --reverse")


def test_a_desktop_database_without_runs_is_not_mentioned(
    practice: Practice, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    practice.desktop.run("delete from sync.sync_history")
    assert "--reverse" not in invoke("history").out
    monkeypatch.setenv("DESKTOP_DSN", "postgresql://nobody@127.0.0.1:1/gone")
    assert "--reverse" not in invoke("undo", "abcd", code=1).error


def test_undo_takes_a_run_back_out_of_the_desktop_and_can_be_undone(
    practice: Practice, invoke: Invoke, synced: Synced
) -> None:
    diary = "select count(*) from workdiary where source = 'M'"
    assert practice.desktop.value(diary) == 220
    undone = invoke("undo", synced.run_id[:8], "--reverse")
    assert practice.desktop.value(diary) == 0
    assert practice.mobile.value(diary) == 220
    again = f"sync-pipeline undo {newest(practice)} --reverse"
    assert f"To redo it: {again}" in undone.words()
    redone = invoke(*again.split()[1:], "--json").json
    assert redone["entities"]["desktop/workdiary"]["reinserted"] == 220
    assert practice.desktop.value(diary) == 220


def newest(practice: Practice) -> str:
    query = "select id::text from sync.sync_history order by created_at desc limit 1"
    return practice.desktop.value(query)


def test_purge_clears_the_bookkeeping_in_the_desktop_database(
    practice: Practice, invoke: Invoke
) -> None:
    for side, table in ((practice.desktop, "sync.sync_history"), (practice.mobile, "sync_history")):
        side.run(
            f"insert into {table} (id, sync_type, status, created_at)"
            " values (gen_random_uuid(), 'full', 'failed', now() - interval '100 days')"
        )
    assert invoke("purge", "--reverse", "--json").json["removed"]["sync_history"] == 1
    assert practice.mobile.value("select count(*) from sync_history") == 1


# -- what waits for people


def test_conflicts_of_the_reverse_run_are_listed_and_resolved_there(
    practice: Practice, invoke: Invoke
) -> None:
    assert invoke("conflicts", "--json").json == {"conflicts": []}
    shown = invoke("conflicts", "--reverse", "--entity", "desktop/jobshead")
    assert "conflicts --take source ID --reverse, or --take local ID" in shown.words()
    [job] = invoke("conflicts", "--reverse", "--entity", "jobshead", "--json").json["conflicts"]
    assert job["kind"] == "owner"
    taken = invoke("conflicts", "--reverse", "--take", "source", str(job["id"]))
    assert f"To take it back: sync-pipeline undo {newest(practice)} --reverse" in taken.words()
    written = "select work_desc from jobshead where job_id = %s and sporg_id = %s"
    key = (job["key"]["job_id"], job["key"]["sporg_id"])
    assert practice.desktop.value(written, *key) == job["source"]["work_desc"]
    again = invoke("conflicts", "--reverse", "--take", "source", str(job["id"]), code=1)
    assert again.error.endswith("is resolved; see: sync-pipeline conflicts --reverse")


def test_a_list_is_narrowed_to_an_entity_of_one_system(practice: Practice, invoke: Invoke) -> None:
    for system, entity in (
        ("desktop", "jobshead"),
        ("elsewhere", "jobshead"),
        ("desktop", "remdetail"),
    ):
        practice.mobile.run(
            "insert into sync.rejected (system, entity, fingerprint, reason, payload, run_id)"
            " values (%s, %s, %s, 'no good', '{}', gen_random_uuid())",
            *(system, entity, uuid4().hex),
        )

    def listed(*arguments: str) -> list[str]:
        rows = invoke("rejected", "--json", *arguments).json["rejected"]
        return sorted(row["system"] for row in rows)

    assert listed() == ["desktop", "desktop", "elsewhere"]
    assert listed("--entity", "jobshead") == ["desktop", "elsewhere"]
    assert listed("--entity", "desktop/jobshead") == ["desktop"]
    assert listed("--entity", "desktop/jobshead", "--reverse") == []
    assert invoke("parked", "--reverse").out.strip() == "Nothing waits for a parent."


def test_explain_shows_a_desktop_row_with_the_mobile_row_as_its_source(
    practice: Practice, invoke: Invoke
) -> None:
    row = practice.desktop.row("select wd_id, tasknotes from workdiary where source = 'M' limit 1")
    key = str(row["wd_id"])
    practice.mobile.run("update workdiary set tasknotes = 'newer' where wd_id = %s", row["wd_id"])
    found = invoke("explain", "desktop/workdiary", key, "--reverse", "--json").json["explanation"]
    [notes] = [f for f in found["fields"] if f["column"] == "tasknotes"]
    assert (notes["local"], notes["base"]) == (row["tasknotes"], row["tasknotes"])
    assert notes["source"] == "newer"
    unknown = invoke("explain", "workdiary", "999", "--reverse", code=1).error
    assert unknown.startswith(
        "workdiary 999 is not in the desktop database and was never delivered."
    )


def test_explain_takes_keys_of_several_parts_of_which_one_may_be_null(
    practice: Practice, invoke: Invoke
) -> None:
    practice.mobile.run(
        "insert into taskchecklist (org_id, loc_id, task_id, checklistdesc, source)"
        " select org_id, min(loc_id), null, 'keys, seals', 'M' from locmaster group by org_id limit 1"
    )
    shown = invoke("explain", "taskchecklist", ",keys, seals").words()
    assert "checklistdesc keys, seals" in shown
    assert "No sync has delivered this row yet" in shown
    wrong = invoke("explain", "jobshead", "17", code=2).err
    assert (
        "'17' is no key of jobshead, whose key has 2 parts, separated by commas: job_id, sporg_id"
        in wrong
    )


# -- what keeps it from running


@pytest.mark.parametrize("arguments", [["history"], ["conflicts"], ["sync", "desktop"], ["purge"]])
def test_a_desktop_database_without_bookkeeping_says_what_to_run(
    practice: Practice,
    invoke: Invoke,
    server: EmbeddedServer,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    monkeypatch.setenv("SYNC_DAGSTER_DSN", server.dsn("postgres"))
    practice.desktop.run("drop schema sync cascade")
    error = invoke(*arguments, "--reverse", code=1).error
    assert error == "the desktop database has no bookkeeping yet; run: sync-pipeline migrate"


@pytest.mark.parametrize("arguments", [["history"], ["undo", "abcd"], ["sync", "desktop"]])
def test_a_named_target_needs_a_named_desktop(
    practice: Practice, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.delenv("DESKTOP_DSN")
    error = invoke(*arguments, "--reverse", code=1).error
    assert error.startswith("DESKTOP_DSN is not set, and a target that is named")
    assert error.endswith("set DESKTOP_DSN")


def test_a_plan_that_the_guard_stops_is_approved_on_the_same_way() -> None:
    said = guard.refusal(Relations(REVERSE["jobshead"]), ["Too much."], "0123456789ab")
    assert "sync-pipeline sync desktop jobshead --reverse with the same scope and --approve" in said


# -- preparing and examining it


def test_migrate_creates_the_bookkeeping_in_the_desktop_database(
    practice: Practice, invoke: Invoke
) -> None:
    practice.desktop.run("drop schema sync, sync_base cascade")
    opened = invoke("migrate", "--json").json
    assert {n["table"] for n in opened["desktop"]["notes"]} >= {"sync.step", "sync.sync_history"}
    assert opened["desktop"]["problem"] is None
    assert practice.desktop.value("select to_regclass('public.sync_history')") is None
    again = invoke("migrate")
    assert "The desktop database has its bookkeeping; nothing to do." in again.words()


def test_a_desktop_that_may_only_be_read_is_a_note_and_no_failure(
    practice: Practice, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    practice.desktop.run("drop schema sync, sync_base cascade")
    role = f"reader_{uuid4().hex[:8]}"
    practice.desktop.run(
        f"create role {role} login password 'never-shown' in role pg_read_all_data"
    )
    try:
        dsn = practice.desktop.dsn.replace("://postgres:", f"://{role}:", 1)
        host = dsn.rpartition("@")[2]
        monkeypatch.setenv("DESKTOP_DSN", f"postgresql://{role}:never-shown@{host}")
        said = invoke("migrate").words()
        assert "reverse runs need the schemas sync and sync_base there" in said
        assert "permission denied" in said
        assert "never-shown" not in said
        assert doctor(invoke)["note", "desktop, reverse"]["remedy"] == "run: sync-pipeline migrate"
    finally:
        practice.desktop.run(f"drop role {role}")


def doctor(invoke: Invoke, *, code: int = 0) -> dict[tuple[str, str], Row]:
    """What the doctor says, by severity and place."""
    found = invoke("doctor", "--json", code=code).json["findings"]
    return {(f["severity"], f["where"]): f for f in found}


def test_doctor_finds_a_desktop_that_lacks_what_runs_need(
    practice: Practice, invoke: Invoke
) -> None:
    assert doctor(invoke)["note", "desktop/jobshead"]["problem"] == "not mapped: jctincharge"
    practice.desktop.run("alter table jobshead drop column work_desc, add column colour text")
    practice.desktop.run("drop table learequest")
    found = doctor(invoke, code=1)
    forward = found["warning", "desktop/jobshead"]
    assert forward["problem"] == "the source no longer describes work_desc"
    assert "colour" in found["note", "desktop/jobshead"]["problem"]
    assert "has no column work_desc" in found["error", "desktop_reverse/jobshead"]["problem"]
    assert "another program" in found["error", "desktop_reverse/jobshead"]["remedy"]
    assert found["error", "desktop/learequest"]["problem"] == "the source has no table learequest"


def test_doctor_notes_a_desktop_without_bookkeeping_and_one_that_nobody_named(
    practice: Practice, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    practice.desktop.run("drop schema sync cascade")
    unopened = doctor(invoke)["note", "desktop, reverse"]
    assert unopened["remedy"] == "run: sync-pipeline migrate"
    monkeypatch.delenv("DESKTOP_DSN")
    unnamed = doctor(invoke)["note", "desktop"]
    assert unnamed["problem"] == "DESKTOP_DSN is not set: its runs are skipped"


def test_a_desktop_that_cannot_be_reached_is_named_by_its_variable(
    practice: Practice, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESKTOP_DSN", "postgresql://me:never-shown@127.0.0.1:1/desktop")
    monkeypatch.setenv("SYNC_SOURCE_OUTAGE", "1")
    before = practice.mobile.value("select count(*) from pg_class")
    for arguments in (["migrate"], ["history", "--reverse"]):
        error = invoke(*arguments, code=1).error
        assert error.startswith("No connection to 127.0.0.1:1/desktop: ")
        assert error.endswith("Connection refused. Check DESKTOP_DSN.")
    assert practice.mobile.value("select count(*) from pg_class") == before
    reverse = migrate_all(Settings.read(), reverse_may_fail=True).reverse  # as `up` does
    assert reverse
    assert "Check DESKTOP_DSN" in (reverse.problem or "")
    found = doctor(invoke, code=1)["error", "desktop source"]
    assert "Check DESKTOP_DSN" in found["problem"]
    assert "never-shown" not in found["problem"]


# -- any database as declarations


def test_inspect_prints_declarations_and_asks_what_it_could_not_decide(
    practice: Practice, invoke: Invoke, tmp_path: Path
) -> None:
    found = invoke("inspect", practice.mobile.dsn, "--system", "field_app")
    compile(found.out, "entities.py", "exec")
    assert "FIELD_APP = System(" in found.out
    asked = [line for line in found.err.splitlines() if line.startswith("? ")]
    inspected = invoke("inspect", practice.mobile.dsn, "--system", "field_app", "--json").json
    assert len(asked) == len(inspected["undecided"])
    assert inspected["source"] == found.out
    assert inspected["status"] == "completed"


def test_inspect_takes_connection_strings_in_parts_and_shows_no_password(
    practice: Practice, invoke: Invoke
) -> None:
    parts = ["host=127.0.0.1", "port=1", "dbname=shop", "password=never-shown"]
    error = invoke("inspect", *parts, code=1).error
    assert "127.0.0.1:1/shop" in error
    assert "never-shown" not in error
    nothing = invoke("inspect", practice.mobile.dsn, "--schema", "nowhere", code=1).error
    assert "nowhere" in nothing
