"""Records that go missing from the app or change while it is read."""

import datetime as dt

from sync_pipeline.merge.schema.metadata import base_name
from sync_pipeline.model.entity import source_value
from sync_pipeline.simulators.clock import ManualClock
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline_tests.fixtures.bubble_system import (
    A_DAY_LATER,
    ENTITIES,
    BubbleSystem,
    BubbleSystems,
)
from sync_pipeline_tests.systems.bubble.sync_runs import missing


def test_a_missing_record_is_marked_by_a_full_scan_alone_and_its_row_stays(
    synced: BubbleSystem,
) -> None:
    customer = synced.ids("customer")[0]
    synced.delete_there("customer", customer)

    assert synced.run("bubble_sync", "customer").metadata("customer")["missing"] == 0
    assert missing(synced, "customer") == set()

    run = synced.run("bubble_full", "customer")

    assert run.metadata("customer")["missing"] == 1
    assert missing(synced, "customer") == {customer}
    assert customer in synced.keys("customer")
    assert synced.run("bubble_full", "customer").metadata("customer")["missing"] == 0


class TickingClock(ManualClock):
    """Every look at it takes a millisecond, so that no two edits have the same time."""

    def __call__(self) -> dt.datetime:
        return self.advance(milliseconds=1)


def test_edits_while_the_app_is_read_are_in_by_the_next_delta_and_full(
    bubble_systems: BubbleSystems,
) -> None:
    with bubble_systems.empty(TickingClock(A_DAY_LATER)) as bubble_system:
        options = bubble_system.bubble.options
        options.page_limit, options.edits_per_page = 20, 1
        edited = bubble_system.run("bubble_full")
        assert edited.success, edited.errors
        edited = bubble_system.run("bubble_sync")
        assert edited.success, edited.errors
        options.edits_per_page = 0
        assert len(bubble_system.bubble.store.change_log) > 50

        delta = bubble_system.run("bubble_sync")
        full = bubble_system.run("bubble_full")

        assert delta.success, delta.errors
        assert full.success, full.errors
        for entity in ENTITIES:
            assert_converged(bubble_system, entity)


def assert_converged(bubble_system: BubbleSystem, entity: str) -> None:
    """The bases, and what is missing, are what the app has now."""
    declared = BUBBLE[entity]
    unconvertible = {b.uid for b in bubble_system.bubble_company.unconvertible}
    records = {r["_id"]: r for r in bubble_system.records(entity)}
    rows = bubble_system.rows(f"select * from sync_base.{base_name(declared)}")
    present = {r[declared.key[0]]: r for r in rows if r["_missing_since"] is None}
    # A copy of a record that nobody can convert cannot be converted either.
    unusable = {
        row["key"][declared.key[0]]
        for row in bubble_system.rows("select key from sync.rejected where entity = %s", entity)
    }
    assert present.keys() == records.keys() - unusable - unconvertible
    for key, row in present.items():
        for f in declared.values:
            value = source_value(f, records[key])
            expected = None if value is None else f.type.convert(value)
            assert row[f.column] == expected, (key, f.column)
