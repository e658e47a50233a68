"""The command line as a person meets it: the installed script, real databases, a simulated app."""

from __future__ import annotations

import re

import pytest

from sync_pipeline.simulators.bubble.simulator import BubbleSimulator
from sync_pipeline_tests.fixtures.command_line import Command, Finished

TERMS = {
    "read",
    "inserted",
    "updated",
    "unchanged",
    "conflicted",
    "owned_elsewhere",
    "deleted_locally",
    "parked",
    "rejected",
    "duplicates",
}
KEYS = {"run_id", "status", "duration_ms", "api_calls", "errors", "steps", "entities"}
ENTITIES = {
    "agent",
    "customer",
    "user",
    "invoice",
    "payment",
    "submitted_payment",
    "invoice_item",
    "seda_registration",
}


def test_a_full_sync_reports_every_entity_balanced(
    cli_templates: str, first_sync: dict[str, Finished]
) -> None:
    report = first_sync["sync"].json
    assert report.keys() >= KEYS
    assert report["entities"].keys() == ENTITIES
    for counts in report["entities"].values():
        assert counts.keys() == TERMS
        assert counts["read"] == sum(n for name, n in counts.items() if name != "read")
        assert counts["inserted"] > 0
    assert report["status"] == "partial_success"
    assert len(report["errors"]) == 3
    assert all("rejected" in error for error in report["errors"])


def test_a_second_sync_finds_nothing_to_do_and_writes_nothing(command: Command) -> None:
    before = command.writes()
    report = command("sync", "bubble", "--full", "--json", code=4).json
    assert all(
        n == 0
        for counts in report["entities"].values()
        for name, n in counts.items()
        if name not in {"read", "unchanged", "rejected"}
    )
    assert command.writes() == before


# -- usage


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["synk"], "No such command 'synk'. Did you mean 'sync'?"),
        (["sync"], "Missing argument"),
        (["sync", "bobble"], "'bobble' is not 'bubble'"),
        (
            ["sync", "bubble", "invoices"],
            "bubble has no entity 'invoices'; it has: agent, customer",
        ),
        (["sync", "bubble", "--ful"], "Did you mean"),
        (["sync", "bubble", "--full", "--keys", "x"], "exclude each other"),
        (["sync", "bubble", "--keys", " , "], "names no record"),
        (["sync", "bubble", "agent", "user", "--keys", "x"], "name exactly one"),
        (["sync", "bubble", "--to", "2026-01-01"], "--to needs --from"),
        (["sync", "bubble", "--from", "2026-13-01"], "write 2026-01-31"),
        (["sync", "bubble", "--from", "2026-02-01", "--to", "2026-01-01"], "later than"),
        (["explain", "invoice"], "Missing argument 'KEY'"),
        (["explain", "nonsense", "1"], "there is no entity 'nonsense'; there are: bubble/agent"),
        (["conflicts", "17"], "conflicts --take source 17"),
        (["conflicts", "--take", "source"], "conflicts --take source 17"),
        (["rejected", "--entity", "nonsense"], "there is no entity 'nonsense'"),
        (["parked", "--limit", "0"], "0 is not in the range"),
        (["history", "--limit", "many"], "not a valid integer"),
        (["undo", "%"], "'%' is no run"),
        (["up", "--port", "0"], "not in the range"),
        (["demo", "--scale", "0"], "not in the range"),
    ],
)
def test_a_usage_error_shows_usage_and_an_example(
    bare_command: Command, arguments: list[str], says: str
) -> None:
    finished = bare_command(*arguments, code=2)
    assert finished.out == ""
    assert "Usage: sync-pipeline" in finished.err
    assert says in finished.words()
    assert "Example: sync-pipeline " in finished.err


def test_a_usage_error_is_an_object_too_where_json_is_asked_for(bare_command: Command) -> None:
    finished = bare_command("sync", "bubble", "--to", "2026-01-01", "--json", code=2)
    assert finished.json["status"] == "failed"
    assert "--to needs --from" in finished.json["errors"][0]
    assert "Usage:" in finished.err


def test_every_command_has_help_with_examples(bare_command: Command) -> None:
    listed = bare_command("--help").out
    names = re.findall(r"^  ([a-z]+) {2,}\w", listed, re.MULTILINE)
    assert set(names) >= {"demo", "doctor", "explain", "history", "migrate", "sync", "undo", "up"}
    for name in names:
        shown = bare_command(name, "-h").out
        assert "--json" in shown
        assert f"Examples:\n  sync-pipeline {name}" in shown
        assert max(map(len, shown.splitlines())) <= 80


def test_no_command_shows_what_there_is(bare_command: Command) -> None:
    assert "Commands:" in bare_command(code=2).err
    assert bare_command("--version").out.startswith("sync-pipeline, version ")


# -- the target


def test_migrate_creates_everything_once(
    migrated_command: Command, first_sync: dict[str, Finished]
) -> None:
    notes = first_sync["migrate"].json["notes"]
    created = {note["table"] for note in notes if note["kind"] == "created"}
    assert {"public.invoice", "sync.step", "sync_base.bubble__invoice"} <= created
    assert migrated_command("migrate", "--json").json == {"status": "completed", "notes": []}
    assert "nothing to do" in migrated_command("migrate").out


def test_migrate_adopts_tables_that_are_there(fresh_command: Command) -> None:
    fresh_command.run("create table invoice (bubble_id text, amount integer, ours text)")
    fresh_command.run("insert into invoice values ('a', 1, 'kept'), ('b', 2, null)")
    fresh_command.run("create table payment (bubble_id text)")
    fresh_command.run("insert into payment values ('twice'), ('twice')")
    finished = fresh_command("migrate", code=4)
    assert "public.payment" in finished.out
    assert "1 keys are repeated, such as twice (2 times)" in finished.words()
    assert "1 refused by the data" in finished.out
    assert fresh_command.rows("select bubble_id, amount, ours, paid from invoice order by 1") == [
        {"bubble_id": "a", "amount": 1, "ours": "kept", "paid": None},
        {"bubble_id": "b", "amount": 2, "ours": None, "paid": None},
    ]
    errors = [f for f in doctor(fresh_command, code=1) if f["severity"] == "error"]
    assert [f["where"] for f in errors] == ["bubble/payment"]
    fresh_command.run("delete from payment where ctid = (select min(ctid) from payment)")
    again = fresh_command("migrate", "--json").json
    assert [n["table"] for n in again["notes"] if n["kind"] == "created"] == ["public.payment"]
    assert {n["kind"] for n in again["notes"]} == {"created", "differs"}


def doctor(command: Command, *, code: int = 0) -> list[dict[str, str]]:
    return command("doctor", "--json", code=code).json["findings"]


def test_doctor_is_content_with_a_migrated_target(migrated_command: Command) -> None:
    finished = migrated_command("doctor")
    assert "All is well" in finished.out
    assert "not mapped: Slug (slug)" in finished.words()


def test_doctor_says_how_to_mend_an_empty_target(fresh_command: Command) -> None:
    errors = [f for f in doctor(fresh_command, code=1) if f["severity"] == "error"]
    assert {f["where"] for f in errors} == {f"bubble/{name}" for name in ENTITIES}
    assert {f["remedy"] for f in errors} == {"run: sync-pipeline migrate"}


def test_doctor_finds_what_is_broken_on_either_side(
    migrated_command: Command, app: BubbleSimulator
) -> None:
    migrated_command.run("drop index invoice_bubble_id_key")
    migrated_command.run("alter table payment drop column amount")
    migrated_command.run("alter table agent alter column name type varchar(10)")
    app.store.hide_field("user", "Name")
    app.options.disabled_types = ("invoice_item",)
    app.store.schema("payment").hide("Amount")
    found = {(f["severity"], f["where"]): f for f in doctor(migrated_command, code=1)}
    assert "no valid, total unique index" in found["error", "bubble/invoice"]["problem"]
    assert "no column amount" in found["error", "bubble/payment"]["problem"]
    assert "migrate" in found["error", "bubble/payment"]["remedy"]
    assert "VARCHAR(10)" in found["warning", "public.agent"]["problem"]
    assert "no type invoice_item" in found["error", "bubble/invoice_item"]["problem"]
    assert "Amount" in found["warning", "bubble/payment"]["problem"]
