"""However a delivery is cut into batches and chunks, and however often the wire breaks: one outcome."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from sync_pipeline.merge import stage
from sync_pipeline_tests.fixtures.properties import examples
from sync_pipeline_tests.fixtures.sample_system import Workbench, counted, shop

BREAK = (
    "select count(pg_terminate_backend(pid)) from pg_stat_activity"
    " where datname = current_database() and application_name like 'sync_pipeline shops/%%'"
)
RECORDS = st.lists(
    st.builds(
        lambda key, day, size, code: shop(key, day, Size=size, Code=code),
        key=st.sampled_from(["a", "b", "c", "d", None]),
        day=st.integers(1, 4),
        size=st.sampled_from([1, 2, "many"]),
        code=st.sampled_from([None, "shared", "far too long a code"]),
    ),
    max_size=24,
)
CUTS = st.lists(st.integers(0, 5), max_size=12)
BREAKS = st.sets(st.integers(0, 8), max_size=3)


def batches(
    records: list[dict[str, Any]], cuts: list[int], breaks: set[int], bench: Workbench
) -> Iterator[list[dict[str, Any]]]:
    """The records in batches of these sizes, the last of which holds the rest."""
    at = 0
    for number, size in enumerate([*cuts, len(records)]):
        if number in breaks:
            bench.rows(BREAK)
        yield records[at : at + size]
        at += size


def outcome(bench: Workbench) -> list[list[dict[str, Any]]]:
    return [
        bench.rows("select shop_id, name, size, code, modified from shop order by shop_id"),
        bench.rows(
            "select shop_id, size, code, _digest, _modified, _missing_since is null"
            " from sync_base.shops__shop order by shop_id"
        ),
        bench.rows("select key, reason, payload from sync.rejected order by key, reason, payload"),
        bench.rows("select key, before, after from sync.change order by key, id"),
    ]


def begin_again(bench: Workbench) -> None:
    bench.run(
        "truncate shop, sync_base.shops__shop, sync.change, sync.rejected, sync.step, sync.conflict,"
        " _sync_metadata"
    )
    bench.sync(shop("a", 2, Size=1), shop("b", 2, Size=1))


@examples(12, 250)
@given(records=RECORDS, cuts=CUTS, breaks=BREAKS, chunk=st.integers(1, 5))
def test_cuts_and_broken_connections_change_nothing(
    bench: Workbench,
    records: list[dict[str, Any]],
    cuts: list[int],
    breaks: set[int],
    chunk: int,
) -> None:
    begin_again(bench)
    whole = bench.sync(*records, complete=True)
    expected = outcome(bench)

    begin_again(bench)
    stream = bench.stream([], complete=True)
    stream.batches = batches(records, cuts, breaks, bench)
    with patch.object(stage, "CHUNK", chunk):
        [cut] = bench.merge(stream)

    assert counted(cut) == counted(whole)
    assert outcome(bench) == expected
