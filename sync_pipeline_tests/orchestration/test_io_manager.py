"""The IO manager: streams and DataFrames go in, DataFrames and lazy relations come out."""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from sync_pipeline.errors import SourceBroken
from sync_pipeline.merge.stage import CHUNK
from sync_pipeline.merge.stream import EntityBatches
from sync_pipeline.merge.table_reader import Relation
from sync_pipeline.orchestration.io_manager import merge_io_manager
from sync_pipeline.orchestration.resources import SyncScope, TargetDatabase
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline.systems.registry import SYSTEMS
from sync_pipeline_tests.fixtures.bubble_system import CUSTOMER, BubbleSystem
from sync_pipeline_tests.fixtures.dagster_run import SILENT

AGENT_KEY = dg.AssetKey(["bubble", "agent"])


def materialize(
    bubble_system: BubbleSystem, *assets: dg.AssetsDefinition | dg.AssetSpec, **scope: Any
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        list(assets),
        instance=bubble_system.instance,
        resources={
            "target": TargetDatabase(),
            "scope": SyncScope(**scope),
            "merge": merge_io_manager(SYSTEMS),
        },
        run_config=SILENT,
        raise_on_error=False,
    )


def agents_from(make: Callable[[], Any]) -> dg.AssetsDefinition:
    """An asset that returns something for the table of agents."""

    @dg.asset(key=AGENT_KEY, io_manager_key="merge")
    def agents() -> dg.MaterializeResult:
        return dg.MaterializeResult(value=make())

    return agents


def failure(result: dg.ExecuteInProcessResult) -> str:
    [event] = result.get_step_failure_events()
    error = event.step_failure_data.error
    assert error
    return (error.cause or error).to_string()


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    [event] = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def agent(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "_id": f"1700000000000x{number:018}",
        "Name": f"Agent {number}",
        "Modified Date": "2026-01-01T00:00:00.000Z",
    } | fields


def test_each_batch_is_staged_before_the_next_one_is_produced(bubble_system: BubbleSystem) -> None:
    staged: list[int] = []

    def batches() -> Iterator[list[dict[str, Any]]]:
        for start in range(0, 6 * CHUNK, 2 * CHUNK):
            staged.append(bytes_staged(bubble_system))
            yield [agent(number) for number in range(start, start + 2 * CHUNK)]

    result = materialize(
        bubble_system, agents_from(lambda: EntityBatches(BUBBLE["agent"], batches()))
    )

    assert result.success
    assert bubble_system.count("agent") == 6 * CHUNK
    # Of a batch's two chunks the last may still be on its way, the first has arrived.
    assert staged == sorted(set(staged))
    assert staged[0] == 0


def bytes_staged(bubble_system: BubbleSystem) -> int:
    """The size of the temporary table that a running merge fills; its rows are only the session's own."""
    query = (
        "select coalesce(sum(pg_relation_size(oid)), 0)::int as bytes from pg_class"
        " where relpersistence = 't' and relname = 'seen_agent'"
    )
    return bubble_system.db.row(query)["bytes"]


@pytest.mark.parametrize("value", [[{"_id": "x"}], "rows", 7, None])
def test_an_asset_that_returns_something_else_is_told_what_to_return(
    bubble_system: BubbleSystem, value: object
) -> None:
    result = materialize(bubble_system, agents_from(lambda: value))

    assert not result.success
    said = failure(result)
    assert "TypeError" in said
    assert f"bubble/agent returned {type(value).__name__}" in said
    assert "EntityBatches" in said
    assert "DataFrame" in said
    assert bubble_system.count("agent") == 0


def test_an_asset_that_is_no_entity_is_told_so(bubble_system: BubbleSystem) -> None:
    @dg.asset(key=["bubble", "agnet"], io_manager_key="merge")
    def misspelt() -> dg.MaterializeResult:
        return dg.MaterializeResult(value=pd.DataFrame({"bubble_id": ["1x1"]}))

    result = materialize(bubble_system, misspelt)

    assert "bubble/agnet is no declared entity" in failure(result)


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"bubble_id": ["1x1", "1x2", "1x3"]} | columns)


def test_a_dataframe_is_merged_under_target_or_source_names(bubble_system: BubbleSystem) -> None:
    made = frame(
        Name=["One", "Two", "Three"],
        commission=[3, 4, 5],
        created_date=pd.to_datetime(["2026-01-01T01:02:03Z"] * 3),
    )

    result = materialize(bubble_system, agents_from(lambda: made))

    assert result.success
    row = bubble_system.here("agent", "1x2")
    assert (row["name"], row["commission"]) == ("Two", 4)
    assert row["created_date"] == dt.datetime(2026, 1, 1, 1, 2, 3, tzinfo=dt.UTC)


def test_every_kind_of_nothing_that_pandas_knows_is_null(bubble_system: BubbleSystem) -> None:
    made = frame(
        name=["One", None, float("nan")],
        commission=[3.0, float("nan"), None],
        annual_collection=pd.array([1, pd.NA, 3], dtype="Int64"),
        slug=pd.array(["a", pd.NA, None], dtype="string"),
        created_date=[pd.Timestamp("2026-01-01", tz="UTC"), pd.NaT, None],
    )

    result = materialize(bubble_system, agents_from(lambda: made))

    assert result.success, failure(result)
    one, two = bubble_system.here("agent", "1x1"), bubble_system.here("agent", "1x2")
    filled = ("name", "commission", "annual_collection", "slug", "created_date")
    assert all(one[c] is not None for c in filled)
    assert [two[c] for c in filled] == [None] * 5
    assert metadata(result)["rejected"] == 0


def test_numbers_lists_and_texts_survive_the_way_through_a_dataframe(
    bubble_system: BubbleSystem,
) -> None:
    made = pd.DataFrame(
        {
            "bubble_id": ["1x1"],
            "amount": [Decimal("1234.50")],
            "paid": [True],
            "linked_payment": [["p1", "p2"]],
            "logs": ["a\tb\n\\N"],
        }
    )

    @dg.asset(key=["bubble", "invoice"], io_manager_key="merge")
    def invoices() -> dg.MaterializeResult:
        return dg.MaterializeResult(value=made)

    result = materialize(bubble_system, invoices)

    assert result.success, failure(result)
    row = bubble_system.here("invoice", "1x1")
    assert (row["amount"], row["paid"]) == (Decimal("1234.50"), True)
    assert (row["linked_payment"], row["logs"]) == (["p1", "p2"], "a\tb\n\\N")


def test_a_column_that_a_dataframe_lacks_is_left_alone(synced: BubbleSystem) -> None:
    known = synced.usable("agent", having=["Name", "Agent Type"])[0]
    made = pd.DataFrame({"bubble_id": [known["_id"]], "commission": [77]})
    before = synced.here("agent", known["_id"])

    result = materialize(synced, agents_from(lambda: made))

    assert result.success, failure(result)
    after = synced.here("agent", known["_id"])
    assert after["commission"] == 77
    assert {k: v for k, v in after.items() if v != before[k]}.keys() <= {
        "commission",
        "last_synced_at",
    }


def test_a_dataframe_moves_no_watermark_and_misses_nobody(synced: BubbleSystem) -> None:
    before = synced.watermarks()

    materialize(synced, agents_from(lambda: frame(modified_date=["2027-01-01T00:00:00Z"] * 3)))

    assert synced.watermarks() == before
    [missing] = synced.rows(
        "select count(*) as n from sync_base.bubble__agent where _missing_since is not null"
    )
    assert missing["n"] == 0


def test_a_dry_run_holds_for_a_dataframe_too(bubble_system: BubbleSystem) -> None:
    result = materialize(
        bubble_system, agents_from(lambda: frame(name=["a", "b", "c"])), dry_run=True
    )

    assert result.success
    assert metadata(result)["inserted"] == 3
    assert metadata(result)["status"] == "planned"
    assert bubble_system.count("agent") == 0


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (frame(shoe_size=[1, 2, 3]), "columns that are not mapped: shoe_size"),
        (frame(banker=["a", "b", "c"]), "columns that are not mapped: banker"),
        (pd.DataFrame({"name": ["a"]}), "lacks the key: bubble_id"),
        (frame(_id=["1x1", "1x2", "1x3"]), "names _id twice"),
    ],
    ids=["unknown", "local-only", "no key", "twice"],
)
def test_a_dataframe_that_does_not_fit_is_refused_before_anything_is_written(
    bubble_system: BubbleSystem, made: pd.DataFrame, said: str
) -> None:
    result = materialize(bubble_system, agents_from(lambda: made))

    assert said in failure(result)
    assert bubble_system.count("agent") == 0


def test_a_downstream_asset_gets_a_dataframe_by_default(synced: BubbleSystem) -> None:
    found: list[pd.DataFrame] = []

    def report(agent: pd.DataFrame) -> None:
        found.append(agent)

    read_downstream(synced, report)

    [agents] = found
    assert list(agents.columns) == [c.column for c in BUBBLE["agent"].columns]
    assert set(agents["bubble_id"]) == synced.keys("agent")


def test_a_downstream_asset_that_asks_for_a_relation_reads_piece_by_piece(
    synced: BubbleSystem,
) -> None:
    counted: list[int] = []
    chunks: list[list[dict[str, Any]]] = []

    def report(agent: Relation) -> None:
        with agent:
            counted.append(agent.count())
            chunks.extend(agent.iter(["bubble_id"], chunk=2))

    read_downstream(synced, report)

    assert counted == [synced.count("agent")]
    assert {len(chunk) for chunk in chunks[:-1]} == {2}
    assert {row["bubble_id"] for chunk in chunks for row in chunk} == synced.keys("agent")


def read_downstream(bubble_system: BubbleSystem, report: Callable[..., None]) -> None:
    """Run an asset that takes the table of agents."""
    upstream = dg.AssetSpec(AGENT_KEY).with_io_manager_key("merge")
    asset = dg.asset(ins={"agent": dg.AssetIn(AGENT_KEY)})(report)
    result = materialize(bubble_system, upstream, asset)
    assert result.success, failure(result)


def test_metadata_hold_what_a_merge_did(synced: BubbleSystem) -> None:
    [one, other, *_] = synced.usable("customer", having=["Name", "State"])
    synced.edit_here("customer", other["_id"], name="Edited here")
    synced.edit_there("customer", one["_id"], State="Atlantis")
    synced.bubble.stats.reset()

    run = synced.run("bubble_sync", "customer")

    found = run.metadata("customer")
    assert found["dagster/row_count"] == synced.count("customer")
    assert {t: found[t] for t in ("read", "updated", "unchanged")} == {
        "read": 1,
        "updated": 1,
        "unchanged": 0,
    }
    assert found["balanced"] is True
    assert found["api_calls"] == synced.bubble.stats.total > 0
    assert found["bytes"] == synced.bubble.stats.bytes > 0
    assert found["local_overrides"] == 1
    assert found["local_overrides_by_column"] == {"name": 1}
    watermark = synced.watermarks()["customer"]
    assert watermark
    assert found["watermark"] == watermark.timestamp()
    assert "Atlantis" in found["changes"]
    assert one["_id"] in found["changes"]
    assert found["scope"] == "delta"


def test_a_full_sync_reports_coverage_of_the_sources_fields(synced: BubbleSystem) -> None:
    found = synced.run("bubble_full", "customer").metadata("customer")

    assert "Status" in found["coverage"]  # the app has it, nobody maps it
    assert "unmapped" in found["coverage"]
    assert found["complete_scan"] is True
    assert found["reported_by_source"] == len(synced.records("customer"))


PERSONAL = {
    "agent": ("Name", "Contact"),
    "customer": ("Name", "Contact", "Whatsapp", "Address"),
    "seda_registration": (
        "Email",
        "IC No",
        "E Contact Name",
        "E Contact No",
        "E Contact MyKAD",
        "E Email",
        "Installation Address",
        "TNB account No.",
        "IC Copy Front",
        "IC Copy Back",
    ),
}


def test_no_log_or_metadata_of_a_run_holds_personal_data_or_secrets(synced: BubbleSystem) -> None:
    values: set[str] = set()
    for entity, fields in PERSONAL.items():
        for record in synced.records(entity):
            changed = {f: f"{record[f]} (moved)" for f in fields if isinstance(record.get(f), str)}
            values |= {str(record[f]) for f in changed} | set(changed.values())
            synced.touch_there(entity, record["_id"], **changed)
    for record in synced.records("user"):
        email = record.get("authentication", {}).get("email", {}).get("email")
        if email:
            values.add(email)
            login = {"email": {"email": f"new.{email}"}}
            synced.touch_there("user", record["_id"], authentication=login)
    assert len(values) > 300

    run = synced.run("bubble_full", approve=plans_of(synced))

    assert run.success, run.errors
    assert run.total("updated") > 100
    log = run.log_text()
    assert "changes" in log
    assert {value for value in values if value in log} == set()
    assert not re.search(r"[\w.]+@example\.com", log)
    assert synced.bubble.token not in log
    assert synced.db.dsn not in log


def plans_of(bubble_system: BubbleSystem) -> list[str]:
    """Digests of what the guard stops in a full sync, to be approved."""
    stopped = bubble_system.run("bubble_full", dry_run=True)
    return list(stopped.report.plans.values())


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"State": "Atlantis"}, "no_ghosts"),
        ({"Contact": "+60 11-000\x00 42424242"}, "0x00"),
        ({"Address": "half of a \ud83d pair"}, "surrogate"),
    ],
    ids=["constraint", "nul", "surrogate"],
)
def test_a_rejection_says_why_without_telling_who(
    tiny: BubbleSystem, fields: dict[str, str], reason: str
) -> None:
    tiny.db.run("alter table customer add constraint no_ghosts check (state <> 'Atlantis')")
    person = {
        "Name": "Qistara Embongar",
        "Contact": "+60 11-000 42424242",
        "Address": "Jalan Watt 7",
    }
    records = [[{"_id": CUSTOMER, "Created By": "admin_user_x"} | person | fields]]

    @dg.asset(key=["bubble", "customer"], io_manager_key="merge")
    def customers() -> dg.MaterializeResult:
        return dg.MaterializeResult(value=EntityBatches(BUBBLE["customer"], records))

    result = materialize(tiny, customers)

    assert result.success, failure(result)
    assert metadata(result)["rejected"] == 1
    [said] = metadata(result)["rejected_examples"]
    assert CUSTOMER in said
    assert reason in said
    log = "\n".join(str(entry) for entry in tiny.instance.all_logs(result.run_id))
    assert [
        word for word in ("Qistara", "42424242", "+60 11", "Jalan", "half of") if word in log
    ] == []


def test_a_stream_that_breaks_off_writes_nothing_and_is_in_the_history(
    bubble_system: BubbleSystem,
) -> None:
    def batches() -> Iterator[list[dict[str, Any]]]:
        yield [agent(1)]
        raise SourceBroken("the page after this one is torn")

    result = materialize(
        bubble_system, agents_from(lambda: EntityBatches(BUBBLE["agent"], batches()))
    )

    [event] = result.get_step_failure_events()
    assert event.step_failure_data.user_failure_data
    assert event.step_failure_data.user_failure_data.description == (
        "the page after this one is torn"
    )
    assert bubble_system.count("agent") == 0
    assert bubble_system.watermarks()["agent"] is None
    step = bubble_system.db.row("select run_id::text, entity, action, status, error from sync.step")
    assert step == {
        "run_id": result.run_id,
        "entity": "agent",
        "action": "merge",
        "status": "failed",
        "error": "the page after this one is torn",
    }
    assert bubble_system.db.row("select sync_status from _sync_metadata")["sync_status"] == "failed"
