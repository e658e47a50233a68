"""What people type, taken apart: systems and ways, entities, keys; and what each command needs."""

import errno
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import psycopg
import pytest

from sync_pipeline.cli import arguments, framework
from sync_pipeline.cli.commands import demo, up
from sync_pipeline.cli.databases import REVERSE_DATABASE, TARGET, missing_variable
from sync_pipeline.cli.migration import BookkeepingReport, MigrationReport
from sync_pipeline.dev import environment
from sync_pipeline.errors import SyncError
from sync_pipeline.model.system import System
from sync_pipeline.orchestration.run_report import RunReport
from sync_pipeline.postgres.connect import connect
from sync_pipeline.settings import SANDBOXED, Settings
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.reverse import REVERSE
from sync_pipeline.systems.registry import SYSTEMS
from sync_pipeline_tests.fixtures.command_line import Invoke

EVERY = {s.name for s in SYSTEMS}

# -- keys and entities


@pytest.mark.parametrize(
    ("entities", "typed", "keys"),
    [
        (["invoice"], "a,b", ["a", "b"]),
        (["invoice"], " a  b, a ", ["a", "b"]),
        ([], "a,b", ["a", "b"]),
        (["jobshead"], "17,3", ["17,3"]),
        (["jobshead"], "17,3;18,4; 17, 3", ["17,3", "18,4"]),
        (["jobshead"], "17,;,3", ["17,", ",3"]),
        (["taskchecklist"], ",keys, seals;8000001,photos", [",keys, seals", "8000001,photos"]),
        (["workdiary"], "1,2 3", ["1", "2", "3"]),
    ],
)
def test_keys_are_told_apart_and_named_once(
    entities: list[str], typed: str, keys: list[str]
) -> None:
    system = DESKTOP if {e.name for e in DESKTOP.entities} & set(entities) else BUBBLE
    assert arguments.keys_of(system, entities, typed) == keys


@pytest.mark.parametrize(
    ("system", "entity", "typed"),
    [(BUBBLE, "invoice", ""), (BUBBLE, "invoice", " , "), (DESKTOP, "jobshead", " ; ")],
)
def test_keys_that_name_nothing_are_refused(system: System, entity: str, typed: str) -> None:
    with pytest.raises(click.UsageError, match="names no record"):
        arguments.keys_of(system, [entity], typed)


def test_an_entity_is_found_by_its_name_and_by_its_systems() -> None:
    assert arguments.find_entity(TARGET, "jobshead") == (DESKTOP, DESKTOP["jobshead"])
    assert arguments.find_entity(TARGET, "desktop/jobshead") == (DESKTOP, DESKTOP["jobshead"])
    for name in ("jobshead", "desktop/jobshead", "desktop_reverse/jobshead"):
        assert arguments.find_entity(REVERSE_DATABASE, name) == (REVERSE, REVERSE["jobshead"])
    with pytest.raises(click.UsageError, match="no entity 'bubble/jobshead'; there are: bubble/ag"):
        arguments.find_entity(TARGET, "bubble/jobshead")
    with pytest.raises(click.UsageError, match="there are: desktop/orgmaster"):
        arguments.find_entity(REVERSE_DATABASE, "invoice")


def test_a_list_is_filtered_by_system_where_one_is_named() -> None:
    assert arguments.filters(TARGET, None) == {}
    assert arguments.filters(TARGET, "jobshead") == {"entity": "jobshead"}
    both = {"entity": "jobshead", "system": "desktop"}
    assert arguments.filters(TARGET, "desktop/jobshead") == both
    assert arguments.filters(REVERSE_DATABASE, "desktop/jobshead")["system"] == "desktop_reverse"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["bubble", "--reverse"], "bubble has no reverse direction; --reverse is for: desktop"),
        (["desktop", "--from", "2026-01-01"], "desktop keeps no modification times"),
        (["desktop", "--reverse", "--from", "2026-01-01"], "desktop keeps no modification times"),
        (["desktop", "--keys", "1"], "such as: sync-pipeline sync desktop "),
        (["desktop", "--reverse", "--keys", "1"], "--keys … --reverse"),
        (["desktop", "jobshead", "--keys", "17"], "whose key has 2 parts"),
        (["desktop", "invoice"], "desktop has no entity 'invoice'; it has: cli"),
        (["desktop", "bubble/jobshead"], "desktop has no entity 'bubble/jobshead'"),
        (["desktop", "--reverse", "invoice"], "desktop has no entity 'invoice'; it has: cli"),
    ],
)
def test_a_sync_that_cannot_be_meant_is_refused_in_one_line(
    invoke: Invoke, arguments: list[str], says: str
) -> None:
    refused = invoke("sync", *arguments, code=2).err
    assert says in refused
    assert "\n" not in refused


# -- what a command needs


@pytest.mark.parametrize(
    ("arguments", "sources"),
    [
        (["demo"], EVERY),
        (["up"], EVERY),
        (["doctor"], EVERY),
        (["migrate"], EVERY - {"bubble"}),
        (["sync", "bubble"], {"bubble"}),
        (["sync", "desktop"], {"desktop"}),
        (["sync", "desktop", "--reverse"], {"desktop"}),
        (["explain", "invoice", "x"], {"bubble"}),
        (["explain", "jobshead", "1,2"], {"desktop"}),
        (["explain", "jobshead", "1,2", "--no-source"], set()),
        (["explain", "jobshead", "1,2", "--no-source", "--reverse"], {"desktop"}),
        (["history"], set()),
        (["conflicts", "--reverse"], {"desktop"}),
    ],
)
def test_a_command_asks_for_no_more_stand_ins_than_it_needs(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sources: set[str]
) -> None:
    asked: dict[str, Any] = {}

    def refuse(_: Settings, **options: Any) -> None:
        asked.update(options)
        raise SyncError("that is enough")

    monkeypatch.setattr("sync_pipeline.dev.environment.sandbox", refuse)
    assert invoke(*arguments, code=1).error == "that is enough"
    assert set(asked["sources"]) == sources
    assert asked.get("demo", False) == (arguments == ["demo"])
    assert asked.get("migrates", False) == (arguments[0] in {"demo", "up", "migrate"})
    scale = ["demo", "--scale", "0.5"]
    invoke(*scale, code=1)
    assert asked["scale"] == 0.5


@pytest.mark.parametrize("system", [s.name for s in SYSTEMS])
def test_a_named_target_is_not_synced_from_a_source_that_nobody_named(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    monkeypatch.setenv("SYNC_TARGET_DSN", "postgresql://nobody@127.0.0.1:1/target")
    variable = missing_variable(system, Settings.read())
    error = invoke("sync", system, code=1).error
    assert error == (
        f"{variable} is not set, and a target that is named (SYNC_TARGET_DSN) is not synced from invented"
        f" data; set {variable}"
    )


def test_up_says_what_will_not_run_and_serves_the_rest(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    named = {"SYNC_TARGET_DSN": "t", "BUBBLE_API_URL": "https://a.test", "BUBBLE_API_TOKEN": "t"}
    report = MigrationReport([], BookkeepingReport(problem="reverse runs need a schema"))
    monkeypatch.setattr(up, "migrate_all", lambda _, **__: report)
    caplog.set_level(logging.INFO, "sync_pipeline")
    up._prepare_to_serve(Settings.read(named))
    assert caplog.messages == [
        "desktop is not configured: DESKTOP_DSN is not set; its schedules skip",
        "integrations is not configured: QU_API_URL is not set; its schedules skip",
        "meta_assets is not configured: META_GRAPH_URL is not set; its schedules skip",
        "the desktop database: reverse runs need a schema",
    ]
    caplog.clear()
    mixed = {"SYNC_TARGET_DSN": "t", "DESKTOP_DSN": "d", SANDBOXED: "target bubble"}
    up._prepare_to_serve(Settings.read(mixed))
    assert "is not written into the database that DESKTOP_DSN names" in caplog.messages[-1]


def test_a_defect_is_kept_without_the_password_that_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNC_HOME", str(tmp_path))
    typed = ["sync-pipeline", "inspect", "postgresql://me:never-shown@host/shop"]
    monkeypatch.setattr(sys, "argv", typed)
    said = framework.error_line(ZeroDivisionError("oh"))
    kept = (tmp_path / "defects.log").read_text()
    assert str(tmp_path / "defects.log") in said
    assert "inspect postgresql://me@host/shop" in kept
    assert "never-shown" not in kept


def test_a_defect_is_told_whole_where_no_directory_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SYNC_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "file" / "tmp"))
    assert "ZeroDivisionError: oh" in framework.error_line(ZeroDivisionError("oh"))


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_home_that_cannot_be_written_is_named(number: int) -> None:
    said = framework.error_line(OSError(number, "no way", "home/up.lock"))
    assert said.startswith("no way: home/up.lock. Set SYNC_HOME to a directory")


def test_an_error_of_the_database_does_not_recite_the_row(database: str) -> None:
    with connect(database) as session:
        session.execute("create table person (id int, name text not null, card text)")
        with pytest.raises(psycopg.Error) as failed:
            session.execute("insert into person values (1, null, 'SECRET-CARD')")
    said = framework.error_line(failed.value)
    assert "null value in column" in said
    assert "SECRET-CARD" not in said


def test_a_missing_permission_is_to_be_granted(database: str) -> None:
    with connect(database) as session:
        session.execute("create role outsider")
        session.execute("set role outsider")
        with pytest.raises(psycopg.Error) as failed:
            session.execute("create schema mine")
        session.execute("reset role")
        session.execute("drop role outsider")
    assert "Let its owner grant that to the role in SYNC_TARGET_DSN" in framework.error_line(
        failed.value
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["desktop/conmaster", "1", "conname"], 2, "write COLUMN=VALUE with one of: org_id, "),
        (["desktop/conmaster", "1", "source=M"], 2, "names no field of conmaster"),
        (["desktop/conmaster", "1", "conname=x"], 1, "SYNC_TARGET_DSN names the target"),
        (["desktop/conmaster", "1", "conname=x", "--at", "source"], 1, "DESKTOP_DSN names the"),
        (
            ["bubble/invoice", "1", "amount=1", "--at", "source"],
            1,
            "whose edits a simulation forgets",
        ),
    ],
)
def test_only_the_demos_own_databases_are_edited(
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.setenv("SYNC_TARGET_DSN", "postgresql://nobody@127.0.0.1:1/target")
    monkeypatch.setenv("DESKTOP_DSN", "postgresql://nobody@127.0.0.1:1/desktop")
    assert says in invoke("demo-edit", *arguments, code=code).err


@pytest.mark.parametrize(
    ("sandboxed", "succeeded", "planted"),
    [("desktop", True, True), ("desktop", False, False), ("target", True, False)],
)
def test_only_rejections_of_a_simulated_source_leave_the_exit_code_of_a_demo_at_zero(
    sandboxed: str, succeeded: bool, planted: bool
) -> None:
    settings = Settings.read({SANDBOXED: sandboxed})
    report = RunReport("id", "partial_success", stopped=False, duration_ms=0, api_calls=0)
    report.steps = [{"success": succeeded}]
    assert demo._only_planted(DESKTOP, report, settings) == planted


def test_later_commands_meet_the_companies_of_the_size_that_a_demo_chose(tmp_path: Path) -> None:
    assert environment._remembered_scale(tmp_path, None) == 1.0
    assert environment._remembered_scale(tmp_path, 0.25) == 0.25
    assert environment._remembered_scale(tmp_path, None) == 0.25
