"""The command line as a person meets it: the installed script, real databases, a simulated app."""

import re
import subprocess
import sys

import pytest

from sync_pipeline.simulators.bubble.simulator import BubbleSimulator
from sync_pipeline.simulators.clock import ManualClock
from sync_pipeline.systems.registry import SYSTEMS
from sync_pipeline_tests.fixtures.command_line import Command, Finished, Invoke

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


# -- usage


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["synk"], "No such command 'synk'. Did you mean 'sync'?"),
        (["sync"], "Missing argument"),
        (["sync", "bobble"], "'bobble' is not one of 'bubble', 'desktop'"),
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
        (["history", "no"], "'no' is no run"),
        (["up", "--port", "0"], "not in the range"),
        (["demo", "--scale", "0"], "not in the range"),
    ],
)
def test_a_usage_error_shows_usage_and_an_example(
    invoke: Invoke, arguments: list[str], says: str
) -> None:
    finished = invoke.typed(*arguments, code=2)
    assert finished.out == ""
    assert "Usage: sync-pipeline" in finished.err
    assert says in finished.words()
    assert "Example: sync-pipeline " in finished.err


def test_a_usage_error_is_an_object_too_where_json_is_asked_for(bare_command: Command) -> None:
    finished = bare_command("sync", "bubble", "--to", "2026-01-01", "--json", code=2)
    assert finished.json["status"] == "failed"
    assert "--to needs --from" in finished.json["errors"][0]
    assert "Usage:" in finished.err


def test_every_command_has_help_with_examples(invoke: Invoke) -> None:
    listed = invoke.typed("--help").out
    names = re.findall(r"^  ([a-z]+) {2,}\w", listed, re.MULTILINE)
    assert set(names) >= {
        "demo",
        "doctor",
        "explain",
        "history",
        "inspect",
        "migrate",
        "sync",
        "up",
    }
    for name in names:
        shown = invoke.typed(name, "-h").out
        assert "--json" in shown
        assert f"Examples:\n  sync-pipeline {name}" in shown
        assert max(map(len, shown.splitlines())) <= 80


def test_help_waits_for_none_of_the_slow_imports() -> None:
    slow = "dagster", "sqlalchemy", "pandas", "httpx2", "uvicorn"
    script = f"import sys, sync_pipeline.cli.commands; print(*sys.modules.keys() & {set(slow)})"
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
    assert done.stdout == b"\n"


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
    assert "refused  payment: unique index on (bubble_id): 1 key is repeated" in finished.out
    assert "such as twice (2 times); `doctor --fix` merges them" in finished.out
    assert "1 refused by the data" in finished.out
    assert fresh_command.rows("select bubble_id, amount, ours, paid from invoice order by 1") == [
        {"bubble_id": "a", "amount": 1, "ours": "kept", "paid": None},
        {"bubble_id": "b", "amount": 2, "ours": None, "paid": None},
    ]
    errors = [f for f in doctor(fresh_command, code=1) if f["severity"] == "error"]
    assert {(f["where"], f["mended_by"]) for f in errors} == {("bubble/payment", "repair")}
    fresh_command.run("delete from payment where ctid = (select min(ctid) from payment)")
    again = fresh_command("migrate", "--json").json
    assert [n["table"] for n in again["notes"] if n["kind"] == "created"] == ["payment"]
    assert {n["kind"] for n in again["notes"]} == {"created", "differs"}


def doctor(command: Command, *, code: int = 0) -> list[dict[str, str]]:
    return command("doctor", "--json", code=code).json["findings"]


def test_doctor_is_content_with_a_migrated_target(migrated_command: Command) -> None:
    finished = migrated_command("doctor")
    assert "All is well" in finished.out
    assert "not mapped: Slug (slug)" in finished.words()


def test_doctor_says_how_to_fix_an_empty_target(fresh_command: Command) -> None:
    errors = [f for f in doctor(fresh_command, code=1) if f["severity"] == "error"]
    assert {f["where"] for f in errors} == {
        "target", *(f"{s.name}/{e.name}" for s in SYSTEMS for e in s.entities)
    }  # fmt: skip
    assert {f["remedy"] for f in errors} == {"run: sync-pipeline migrate"}


def test_doctor_finds_what_is_broken_on_either_side(
    migrated_command: Command, app: BubbleSimulator
) -> None:
    migrated_command.run("drop index invoice_bubble_id_key")
    migrated_command.run("alter table payment drop column amount")
    migrated_command.run("alter table agent alter column name type varchar(10)")
    app.options.disabled_types = ("invoice_item",)
    app.store.hide_field("payment", "Amount")
    found = {(f["severity"], f["where"]): f for f in doctor(migrated_command, code=1)}
    assert "no valid, total unique index" in found["error", "bubble/invoice"]["problem"]
    assert "no column amount" in found["error", "bubble/payment"]["problem"]
    assert "migrate" in found["error", "bubble/payment"]["remedy"]
    assert "character varying(10)" in found["warning", "bubble/agent"]["problem"]
    assert "no type invoice_item" in found["error", "bubble/invoice_item"]["problem"]
    assert "Amount" in found["warning", "bubble/payment"]["problem"]


# -- scopes

INVOICE = (
    "select i.bubble_id from invoice i join payment p on p.linked_invoice = i.bubble_id"
    " join customer c on c.customer_id = i.linked_customer order by 1 limit 1"
)


def counted(finished: Finished, entity: str) -> dict[str, int]:
    """The terms of the identity that are not zero."""
    return {name: n for name, n in finished.json["entities"][entity].items() if n}


def test_one_invoice_comes_with_its_package_in_few_calls(
    command: Command, app: BubbleSimulator
) -> None:
    invoice = command.value(INVOICE)
    app.store.patch("invoice", invoice, {"Amount": 12345})
    app.stats.reset()
    finished = command("sync", "bubble", "--keys", invoice, "--json")
    report = finished.json
    assert report["api_calls"] == app.stats.total <= 12
    assert report["packages"]["total"] == report["packages"]["synced"] == 1
    assert counted(finished, "invoice") == {"read": 1, "updated": 1}
    assert report["entities"]["payment"]["unchanged"] > 0
    assert report["entities"]["customer"]["unchanged"] > 0


def test_a_delta_takes_what_changed_and_keeps_local_edits(
    command: Command, app: BubbleSimulator, clock: ManualClock
) -> None:
    invoice = command.value(INVOICE)
    command.run("update invoice set type = 'ours', amount = 1 where bubble_id = %s", invoice)
    clock.advance(days=1)
    app.store.patch("invoice", invoice, {"Amount": 777})
    finished = command("sync", "bubble", "--json")
    assert finished.json["entities"]["invoice"]["updated"] == 1
    row = "select type, amount::int from invoice where bubble_id = %s"
    assert command.row(row, invoice) == {"type": "ours", "amount": 777}
    shown = command("sync", "bubble", "--keys", f"{invoice},nonsense", "--force", code=4).words()
    assert "Packages: 2 invoices, 1 synced, 0 up to date, 1 failed." in shown
    assert "invoice nonsense: not found" in shown
    assert command.value("select type from invoice where bubble_id = %s", invoice) != "ours"


def test_a_range_takes_what_was_modified_in_it(
    command: Command, app: BubbleSimulator, clock: ManualClock
) -> None:
    invoice, other = (r["bubble_id"] for r in command.rows("select bubble_id from invoice limit 2"))
    app.store.patch("invoice", other, {"Amount": 1})
    clock.advance(days=2)
    day = f"{clock():%Y-%m-%d}"
    app.store.patch("invoice", invoice, {"Amount": 2})
    finished = command("sync", "bubble", "--from", day, "--to", day, "--json")
    assert counted(finished, "invoice") == {"read": 1, "updated": 1}
    assert finished.json["packages"]["total"] == 1


def test_a_dry_run_shows_the_plan_and_writes_nothing(
    command: Command, app: BubbleSimulator, clock: ManualClock
) -> None:
    invoice = command.value(INVOICE)
    clock.advance(days=1)
    app.store.patch("invoice", invoice, {"Amount": 4242})
    before = command.writes()
    planned = command("sync", "bubble", "invoice", "--dry-run")
    assert "→ 4242" in planned.out
    assert "nothing was written" in planned.out
    assert command.writes() == before
    assert re.search(r"^Plan of invoice: [0-9a-f]{12}$", planned.out, re.MULTILINE)
    assert re.search(r"^invoice +1 +· +1 ", planned.out, re.MULTILINE)


def test_the_guard_stops_a_plan_until_exactly_this_plan_is_approved(
    command: Command, app: BubbleSimulator
) -> None:
    filled = command.value("select count(*) from invoice where amount is not null")
    app.store.hide_field("invoice", "Amount")
    before = command.writes()
    wrong = ["--approve", "0123456789ab"]
    stopped = command("sync", "bubble", "invoice", "--full", *wrong, "--json", code=3)
    report = stopped.json
    digest = report["plans"]["invoice"]
    assert report["stopped"]
    assert f"--approve {digest}" in report["errors"][0]
    assert f"none of the delivered records although {filled} of them" in report["errors"][0]
    assert command.writes() == before
    assert command.value("select count(*) from invoice where amount is not null") == filled
    done = command("sync", "bubble", "invoice", "--full", "--approve", digest).out
    assert re.search(rf"^invoice +86 +· +{filled} ", done, re.MULTILINE)
    assert command.value("select count(*) from invoice where amount is not null") == 0


# -- what was done, and what waits for people


def test_history_lists_runs_newest_first(command: Command) -> None:
    command("undo", run_id(command)[:8], "--json")
    undone, synced = command("history", "--json").json["runs"]
    assert (undone["sync_type"], synced["sync_type"]) == ("undo", "full")
    assert synced["items_processed"] == 660
    assert len(command("history", "--limit", "1", "--json").json["runs"]) == 1
    shown = command("history").out
    assert synced["run_id"][:8] in shown
    assert "partial success" in shown
    one = command("history", synced["run_id"][:8]).out
    assert re.search(r"^invoice_item +353 +352 ", one, re.MULTILINE)
    assert "rejected: " in one


def run_id(command: Command) -> str:
    """The id of the run that filled the target."""
    return str(command.value("select id from sync_history order by created_at limit 1"))


def test_history_before_the_first_run_says_how_to_begin(migrated_command: Command) -> None:
    assert "Nothing was synced yet: sync-pipeline sync bubble" in migrated_command("history").out
    assert migrated_command("history", "--json").json == {"runs": []}
    assert "Nothing is rejected." in migrated_command("rejected").out


def test_conflicts_are_resolved_for_either_side(
    command: Command, app: BubbleSimulator, clock: ManualClock
) -> None:
    invoice = command.value(INVOICE)
    command.run("update invoice set amount = 1 where bubble_id = %s", invoice)
    clock.advance(days=1)
    app.store.patch("invoice", invoice, {"Amount": 777})
    command("sync", "bubble", "invoice", "--json")
    amount = "select amount::int from invoice where bubble_id = %s"
    assert command.value(amount, invoice) == 777
    [edited, *patched] = command("conflicts", "--entity", "invoice", "--json").json["conflicts"]
    assert (edited["field"], edited["kept"]) == ("amount", "source")
    assert (edited["local"], edited["source"]) == (1, 777)
    explained = command("explain", "invoice", invoice, "--no-source").words()
    assert "amount: local 1, source 777" in explained

    taken = command("conflicts", "--take", "local", str(edited["id"]), "--json").json
    assert command.value(amount, invoice) == 1
    again = command("conflicts", "--take", "local", str(edited["id"]), code=1)
    assert "is resolved" in again.error
    command("undo", taken["run_id"])
    assert command.value(amount, invoice) == 777

    kept = patched[0]
    command("conflicts", "--take", "source", str(kept["id"]))
    link = "select linked_seda_registration from invoice where bubble_id = %s"
    assert command.value(link, kept["key"]["bubble_id"]) == kept["source"]
    assert "does not exist" in command("conflicts", "--take", "source", "999", code=1).error


def test_explain_shows_a_row_from_all_sides(command: Command, app: BubbleSimulator) -> None:
    invoice = command.value(INVOICE)
    command.run("update invoice set type = 'ours' where bubble_id = %s", invoice)
    app.store.patch("invoice", invoice, {"Amount": 777})
    shown = command("explain", "invoice", invoice).out
    assert re.search(r"^type +ours +\S+ +\S+", shown, re.MULTILINE)
    assert re.search(r"^amount +\S+ += +777 ", shown, re.MULTILINE)
    assert "a local override" in shown
    explained = command("explain", "bubble/invoice", invoice, "--no-source", "--json").json
    fields = {row["column"]: row for row in explained["explanation"]["fields"]}
    assert fields["type"]["local"] == "ours" != fields["type"]["base"]
    assert fields["amount"]["written_by"] == run_id(command)


def test_explain_covers_deleted_rejected_and_unknown_rows(command: Command) -> None:
    payment = command.value("select bubble_id from payment limit 1")
    command.run("delete from payment where bubble_id = %s", payment)
    assert "deleted locally" in command("explain", "payment", payment, "--no-source").out
    rejected = command.value(
        "select key ->> 'bubble_id' from sync.rejected where entity = 'payment'"
    )
    assert "is not a number" in command("explain", "payment", rejected, "--no-source").out
    unknown = command("explain", "payment", "nonsense", "--json", code=1)
    assert "payment nonsense is not on the target and was never delivered" in unknown.error
    assert unknown.json["status"] == "failed"


def test_rejected_and_parked_records_are_listed(command: Command) -> None:
    rejected = command("rejected", "--json").json["rejected"]
    assert {r["entity"] for r in rejected} == {"invoice_item", "payment", "seda_registration"}
    [payment] = command("rejected", "--entity", "bubble/payment", "--json").json["rejected"]
    assert payment["payload"]["Amount"] == "n/a"
    assert "'n/a' is not a number" in command("rejected").words()
    command.run(
        "insert into sync.parked (system, entity, key, fingerprint, parent, parent_column, parent_key,"
        " record, run_id) values ('bubble', 'payment', '{\"bubble_id\": \"p[/red]1\"}', 'p', 'invoice',"
        " 'bubble_id', 'i1', '{}', gen_random_uuid())"
    )
    assert "p[/red]1" in command("parked").out
    [parked] = command("parked", "--json").json["parked"]
    assert (parked["parent"], parked["parent_key"]) == ("invoice", "i1")


def test_undo_takes_a_run_back_and_can_be_undone(command: Command) -> None:
    command.run("update agent set name = 'ours' where ctid = (select min(ctid) from agent)")
    undone = command("undo", run_id(command), "--json", code=4).json
    assert undone["status"] == "partial_success"
    assert undone["entities"]["bubble/agent"]["kept"] == 1
    assert command.value("select count(*) from agent") == 1
    assert command.value("select count(*) from invoice_item") == 0
    redone = command("undo", undone["run_id"][:12])
    assert "is undone" in redone.out
    assert command.value("select count(*) from agent") == 3
    assert "no run begins with 'abcd'" in command("undo", "abcd", code=1).error


def test_purge_removes_what_is_old_and_resolved(command: Command) -> None:
    command.run("update sync_history set created_at = now() - interval '100 days'")
    command.run("update sync.change set changed_at = now() - interval '100 days'")
    removed = command("purge", "--json").json["removed"]
    assert removed["sync_history"] == 1
    assert removed["sync.change"] > 0
    assert command.value("select count(*) from sync.rejected") == 3
    assert "Nothing is older than 90 days" in command("purge").out
    command.run(
        "insert into sync_history (id, sync_type, status, created_at) values (%s, 'full', 'failed',"
        " now() - interval '2 days')",
        run_id_of_nobody(),
    )
    assert re.search(r"sync_history +1", command("purge", SYNC_RETENTION_DAYS="1").out)


def run_id_of_nobody() -> str:
    return "00000000-0000-4000-8000-000000000000"
