"""A plan out of proportion is not applied: it is kept, named, and may be approved exactly as it stands."""

import dataclasses
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from sync_pipeline.errors import StoppedByGuard
from sync_pipeline.model.entity import Budget, Entity, Limit
from sync_pipeline_tests.fixtures.sample_system import (
    DESK,
    GENEROUS,
    SHOP,
    Workbench,
    counted,
    shop,
)

Sync = Callable[..., Any]


def budget(**limits: Any) -> Entity:
    """The shop with one budget tightened."""
    return dataclasses.replace(SHOP, budget=dataclasses.replace(GENEROUS, **limits))


def shops(count: int, *, day: int = 1, changed: int = 0, **fields: Any) -> list[dict[str, Any]]:
    """So many shops, the first of which have other fields than on day 1."""
    return [
        shop(f"s{i}", **({"day": day} | fields if i < changed else {"Size": 1, "Rent": 1}))
        for i in range(count)
    ]


def stopped(bench: Workbench, *records: dict[str, Any], **how: Any) -> StoppedByGuard:
    with pytest.raises(StoppedByGuard) as caught:
        bench.sync(*records, **how)
    return caught.value


# -- the budgets


@pytest.mark.parametrize(
    ("percent", "floor", "passes"),
    [(50, 4, True), (49, 5, True), (49, 4, False), (0, 0, False), (50, 0, True)],
)
def test_updates_are_stopped_above_both_floor_and_share(
    bench: Workbench, percent: float, floor: int, passes: bool
) -> None:
    entity = budget(updates=Limit(percent, floor))
    bench.sync(*shops(10), entity=entity)
    changed = shops(10, day=2, changed=5, Size=2, Rent=1)

    if passes:
        assert counted(bench.sync(*changed, entity=entity))["updated"] == 5
    else:
        message = str(stopped(bench, *changed, entity=entity))
        assert (
            f"5 of 10 rows would be updated; the budget is {percent} % and {floor} rows" in message
        )


def test_inserts_and_unchanged_rows_are_no_impact(bench: Workbench) -> None:
    entity = budget(updates=Limit(0, 0))
    bench.sync(*shops(10), entity=entity)

    result = bench.sync(*shops(30), entity=entity)

    assert counted(result) == {"read": 30, "inserted": 20, "unchanged": 10}


@pytest.mark.parametrize(
    ("percent", "floor", "passes"), [(40, 3, True), (39, 4, True), (39, 3, False)]
)
def test_blanking_counts_the_values_of_one_field_that_would_be_emptied(
    bench: Workbench, percent: float, floor: int, passes: bool
) -> None:
    entity = budget(blanking=Limit(percent, floor))
    bench.sync(*shops(10), entity=entity)
    blanked = shops(10, day=2, changed=4, Rent=1)

    if passes:
        bench.sync(*blanked, entity=entity)
        assert bench.row("select count(size) from shop") == {"count": 6}
    else:
        message = str(stopped(bench, *blanked, entity=entity))
        assert "4 of 10 filled values of size ('Size') would be emptied" in message


def test_an_emptied_text_is_blanked_whether_the_source_says_null_or_nothing(
    bench: Workbench,
) -> None:
    entity = budget(blanking=Limit(10, 2))
    bench.sync(*shops(10), entity=entity)

    message = str(
        stopped(bench, *shops(10, day=2, changed=5, Size=1, Rent=1, Name=""), entity=entity)
    )

    assert "5 of 10 filled values of name ('Name') would be emptied" in message


def test_a_locally_emptied_or_kept_value_is_not_blanked_again(bench: Workbench) -> None:
    entity = budget(blanking=Limit(0, 0))
    bench.sync(*shops(3), entity=entity)
    bench.run("update shop set size = null where shop_id = 's0'")
    bench.run("update shop set rent = 5 where shop_id = 's0'")

    result = bench.sync(*shops(3, day=2, changed=1), entity=entity)  # policy of rent is `local`

    assert counted(result) == {"read": 3, "conflicted": 1, "unchanged": 2}


@pytest.mark.parametrize(
    ("percent", "floor", "passes"), [(30, 2, True), (29, 3, True), (29, 2, False)]
)
def test_missing_rows_are_held_against_the_rows_that_have_a_base(
    bench: Workbench, percent: float, floor: int, passes: bool
) -> None:
    entity = budget(missing=Limit(percent, floor))
    bench.sync(*shops(10), entity=entity)
    bench.run("insert into shop (shop_id) select 'local' || n from generate_series(1, 90) n")

    if passes:
        bench.sync(*shops(7), entity=entity, mode="full", complete=True)
        query = "select count(_missing_since) from sync_base.shops__shop"
        assert bench.row(query) == {"count": 3}
    else:
        error = stopped(bench, *shops(7), entity=entity, mode="full", complete=True)
        assert "3 of 10 rows are no longer at the source; the budget is 29 % and 2 rows" in str(
            error
        )


# -- a hidden field


def test_a_field_missing_from_every_record_looks_renamed(bench: Workbench) -> None:
    entity = budget(hidden_field=5)
    bench.sync(*shops(6), entity=entity)

    message = str(stopped(bench, *shops(6, day=2, changed=6, Rent=1), entity=entity))

    assert "'Size' is in none of the delivered records although 6 of them had it before" in message
    assert "renamed or hidden at the source" in message


def test_a_field_that_one_record_still_has_is_not_hidden(bench: Workbench) -> None:
    entity = budget(hidden_field=5)
    bench.sync(*shops(6), entity=entity)

    result = bench.sync(*shops(6, day=2, changed=5, Rent=1), entity=entity)

    assert counted(result) == {"read": 6, "updated": 5, "unchanged": 1}


def test_a_field_missing_from_few_delivered_records_is_just_cleared(bench: Workbench) -> None:
    entity = budget(hidden_field=5)
    bench.sync(*shops(6), entity=entity)

    result = bench.sync(*shops(4, day=2, changed=4, Rent=1), entity=entity)

    assert counted(result) == {"read": 4, "updated": 4}


def test_in_a_complete_scan_two_records_are_enough_to_miss_a_field(bench: Workbench) -> None:
    bench.sync(*shops(2))

    error = stopped(bench, *shops(2, day=2, changed=2, Rent=1), mode="full", complete=True)

    assert "'Size' is in none of the delivered records although 2 of them had it before" in str(
        error
    )


def test_a_field_that_partial_records_leave_out_is_not_hidden(bench: Workbench) -> None:
    strict = dataclasses.replace(DESK, budget=dataclasses.replace(GENEROUS, hidden_field=2))
    bench.sync(shop())
    desks = [{"shop_id": "s1", "number": n, "label": "A", "width": 1} for n in range(6)]
    bench.sync(*desks, entity=strict)
    partial = [{"shop_id": "s1", "number": n, "width": 2} for n in range(5)]

    result = bench.sync(*partial, {**desks[5], "label": None}, entity=strict)

    assert counted(result) == {"read": 6, "updated": 6}


# -- what a stop leaves behind


def test_a_stopped_plan_writes_nothing_but_itself(bench: Workbench) -> None:
    entity = budget(updates=Limit(0, 0))
    bench.sync(*shops(3), entity=entity)
    run_id = uuid4()
    mark, before = bench.watermark(), bench.writes(*bench.co_owned, "sync.change", "sync.conflict")

    error = stopped(
        bench, *shops(5, day=2, changed=1), shop("s9", Size="many"), entity=entity, run_id=run_id
    )

    assert bench.writes(*bench.co_owned, "sync.change", "sync.conflict") == before
    assert bench.watermark() == mark
    assert bench.rejected() == []
    plan = bench.row("select * from sync.plan")
    assert (plan["run_id"], plan["digest"], plan["verdict"]) == (run_id, error.digest, "stopped")
    assert plan["counts"]["updated"] == 1
    assert ["s0", "updated", "size", "1", "∅"] in plan["rows"]
    step = bench.steps()[-1]
    assert (step["run_id"], step["status"], step["counts"]) == (run_id, "stopped", plan["counts"])
    assert "would be updated" in step["error"]


def test_the_message_says_how_to_approve_exactly_this_plan(bench: Workbench) -> None:
    entity = budget(updates=Limit(0, 0))
    bench.sync(*shops(3), entity=entity)

    error = stopped(bench, *shops(3, day=2, changed=1), entity=entity)

    assert "stopped by the guard, nothing was written" in str(error)
    assert f"sync-pipeline sync shops shop with the same scope and --approve {error.digest}" in str(
        error
    )


def test_an_approved_plan_is_applied(bench: Workbench) -> None:
    entity = budget(updates=Limit(0, 0))
    bench.sync(*shops(3), entity=entity)
    records = shops(3, day=2, changed=2, Size=5)
    error = stopped(bench, *records, entity=entity)

    result = bench.sync(*reversed(records), entity=entity, approve=frozenset({error.digest}))

    assert counted(result) == {"read": 3, "updated": 2, "unchanged": 1}
    assert bench.row("select sum(size) from shop") == {"sum": 11}
    assert result.over_budget != []


def test_a_run_stopped_twice_keeps_the_plan_that_its_message_names(bench: Workbench) -> None:
    entity = budget(updates=Limit(0, 0))
    bench.sync(*shops(3), entity=entity)
    run_id = uuid4()
    stopped(bench, *shops(3, day=2, changed=1), entity=entity, run_id=run_id)

    again = stopped(bench, *shops(3, day=2, changed=2), entity=entity, run_id=run_id)

    assert bench.row("select digest from sync.plan") == {"digest": again.digest}


@pytest.mark.parametrize("different", ["value", "row", "insert", "missing", "local"])
def test_another_plan_is_stopped_again(bench: Workbench, different: str) -> None:
    entity = budget(updates=Limit(0, 0))
    bench.sync(*shops(4), entity=entity)
    complete = {"mode": "full", "complete": True}
    records = shops(4, day=2, changed=2, Size=5, Rent=1)
    first = stopped(bench, *records, entity=entity, **complete)
    if different == "value":
        records[0]["Size"] = 6
    elif different == "row":
        records[2] |= shop("s2", 2, Size=5)
    elif different == "insert":
        records.append(shop("s9"))
    elif different == "missing":
        records.pop()
    else:
        bench.edit("s0", size=9)

    again = stopped(bench, *records, entity=entity, approve=frozenset({first.digest}), **complete)

    assert again.digest != first.digest


def test_the_plan_of_a_group_is_stopped_as_a_whole(bench: Workbench) -> None:
    strict = budget(updates=Limit(0, 0))
    bench.sync(shop("s1"))
    before = bench.writes(*bench.co_owned)

    with pytest.raises(StoppedByGuard):
        bench.merge(
            bench.stream([shop("s1", 2), shop("s2")], strict),
            bench.stream([{"shop_id": "s1", "number": 1}], DESK),
        )

    assert bench.writes(*bench.co_owned) == before
    verdicts = bench.rows("select entity, verdict from sync.plan order by entity")
    assert verdicts == [
        {"entity": "desk", "verdict": "planned"},
        {"entity": "shop", "verdict": "stopped"},
    ]


def test_the_default_budget_lets_a_usual_day_pass(bench: Workbench) -> None:
    entity = dataclasses.replace(SHOP, budget=Budget())
    bench.sync(*shops(100), entity=entity)

    result = bench.sync(*shops(100, day=2, changed=90, Size=1, Rent=2), entity=entity)

    assert counted(result) == {"read": 100, "updated": 90, "unchanged": 10}
