"""A dry run has the plan of the run and writes nothing but that."""

import dataclasses
from typing import Any

import pytest

from sync_pipeline.errors import StoppedByGuard
from sync_pipeline.model.entity import Limit
from sync_pipeline_tests.fixtures.sample_system import (
    GENEROUS,
    SHOP,
    Workbench,
    balanced,
    counted,
    shop,
)

STRICT = dataclasses.replace(SHOP, budget=dataclasses.replace(GENEROUS, updates=Limit(0, 0)))


def shops(count: int) -> list[dict[str, Any]]:
    return [shop(f"s{i}", Size=1, Rent=1) for i in range(count)]


def every_fate(bench: Workbench) -> list[dict[str, Any]]:
    """Records of which each ends in another count."""
    bench.run("insert into shop (shop_id, rent) values ('s0', 5)")
    bench.sync(*shops(8))
    bench.edit("s1", rent=9)
    bench.edit("s2", size=9)
    bench.run("delete from shop where shop_id = 's3'")
    return [
        shop("s9"),
        shop("s1", 2, Size=1, Rent=2),
        shop("s2", 2, Size=3, Rent=1),
        shop("s3", 2),
        shop("s4", 2, Size="many"),
        shop("s5", 3, Size=1, Rent=1),
        shop("s5", 2, Size=2, Rent=1),
        *shops(8)[6:],
    ]


def test_a_dry_run_writes_nothing_but_its_plan(bench: Workbench) -> None:
    records = every_fate(bench)
    tables = (*bench.co_owned, "sync.change", "sync.conflict", "sync.rejected", "sync.parked")
    mark, before = bench.watermark(), bench.writes(*tables)

    result = bench.sync(*records, dry_run=True, mode="full", complete=True)

    assert result.status == "planned"
    assert bench.writes(*tables) == before
    assert bench.watermark() == mark
    assert bench.row("select digest, verdict from sync.plan") == {
        "digest": result.digest,
        "verdict": "planned",
    }
    assert bench.steps()[-1]["status"] == "planned"


def test_a_dry_run_has_the_plan_and_the_counts_of_the_run(bench: Workbench) -> None:
    records = every_fate(bench)
    planned = bench.sync(*records, dry_run=True, mode="full", complete=True)
    again = bench.sync(*records, dry_run=True, mode="full", complete=True)

    real = bench.sync(*records, mode="full", complete=True)

    assert planned.digest == again.digest
    assert planned.counts == real.counts
    assert planned.changes == real.changes
    assert (
        planned.metadata["missing"] == real.metadata["missing"] == 1
    )  # s0, which is not delivered
    assert balanced(planned.counts)
    assert counted(real) == {
        "read": 9,
        "inserted": 1,
        "updated": 2,
        "conflicted": 1,
        "unchanged": 2,
        "deleted_locally": 1,
        "rejected": 1,
        "duplicates": 1,
    }


def test_a_dry_run_over_budget_says_so_and_does_not_fail(bench: Workbench) -> None:
    bench.sync(*shops(3), entity=STRICT)
    changed = [shop("s0", 2), *shops(3)[1:]]

    result = bench.sync(*changed, entity=STRICT, dry_run=True)
    with pytest.raises(StoppedByGuard) as caught:
        bench.sync(*changed, entity=STRICT)

    assert result.over_budget != []
    assert result.digest == caught.value.digest
    assert bench.rows("select verdict from sync.plan order by created_at") == [
        {"verdict": "stopped"},
        {"verdict": "stopped"},
    ]
