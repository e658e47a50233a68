"""What Dagster loads: that it is whole, and that its shape changes only on purpose.

The graph is compared with `assets.txt` beside this file. After a change that is meant, renew it with
`RENEW_SNAPSHOTS=1 python -m pytest sync_pipeline_tests/orchestration/test_definitions.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import dagster as dg
import pytest

from sync_pipeline.definitions import build, defs
from sync_pipeline.model.entity import Entity
from sync_pipeline.orchestration.naming import SOURCE_TAG, asset_key, patch_key, source_key
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline.systems.registry import SYSTEMS

SNAPSHOT = Path(__file__).with_name("assets.txt")

LEVELS = {
    0: {"agent", "customer"},
    1: {"user"},
    2: {"invoice"},
    3: {"payment", "submitted_payment", "invoice_item"},
    4: {"seda_registration"},
}
MAPPED_FIELDS = {
    "agent": 14,
    "customer": 10,
    "user": 11,
    "invoice": 42,
    "payment": 20,
    "submitted_payment": 13,
    "invoice_item": 16,
    "seda_registration": 57,
}


def declared_sources() -> set[dg.AssetKey]:
    return {source_key(e) for system in SYSTEMS for e in system.entities}


def phantoms(definitions: dg.Definitions) -> set[str]:
    """Assets that exist only because something depends on them, as a misspelt dependency does."""
    graph = definitions.resolve_asset_graph()
    known = set(graph.executable_asset_keys) | declared_sources()
    return {key.to_user_string() for key in graph.get_all_asset_keys() if key not in known}


def test_everything_that_dagster_loads_is_loadable() -> None:
    dg.Definitions.validate_loadable(build())


def test_every_dependency_is_a_defined_asset_or_a_declared_source() -> None:
    assert phantoms(defs) == set()


def test_a_misspelt_dependency_would_be_found() -> None:
    @dg.asset(key=["bubble", "invoice_report"], deps=[dg.AssetKey(["bubble", "invioce"])])
    def report() -> None:
        """Hangs on an asset that nobody defines."""

    misspelt = dg.Definitions(assets=[*(defs.assets or ()), report], resources=defs.resources)
    dg.Definitions.validate_loadable(misspelt)  # Dagster itself accepts it in silence

    assert phantoms(misspelt) == {"bubble/invioce"}


def described(graph: dg.AssetGraph) -> Iterable[str]:
    for key in sorted(graph.get_all_asset_keys(), key=lambda k: k.path):
        node = graph.get(key)
        yield key.to_user_string()
        if not node.is_executable:
            yield "    external"
        yield f"    level   {node.tags.get('sync/level', '-')}"
        yield f"    group   {node.group_name}"
        yield f"    kinds   {', '.join(sorted(node.kinds))}"
        yield f"    after   {', '.join(sorted(k.to_user_string() for k in node.parent_keys)) or '-'}"
        yield f"    checks  {', '.join(sorted(c.name for c in node.check_keys)) or '-'}"


def test_the_asset_graph_is_the_one_of_the_snapshot() -> None:
    text = "\n".join(described(defs.resolve_asset_graph())) + "\n"
    if os.environ.get("RENEW_SNAPSHOTS"):
        SNAPSHOT.write_text(text, encoding="utf-8")

    assert text == SNAPSHOT.read_text(encoding="utf-8")


@pytest.mark.parametrize("entity", BUBBLE.entities, ids=lambda e: e.name)
def test_every_table_tells_people_what_it_is(entity: Entity) -> None:
    node = defs.resolve_asset_graph().get(asset_key(entity))

    assert node.group_name == "bubble"
    assert node.owners == ["team:data"]
    assert node.kinds == {"postgres", "bubble"}
    assert node.tags[SOURCE_TAG] == "bubble"
    assert entity.description in (node.description or "")
    assert node.metadata["dagster/table_name"] == f"public.{entity.table}"


@pytest.mark.parametrize("entity", BUBBLE.entities, ids=lambda e: e.name)
def test_every_column_of_a_table_is_in_its_schema_with_its_origin(entity: Entity) -> None:
    metadata = defs.resolve_asset_graph().get(asset_key(entity)).metadata
    columns = {c.name: c for c in metadata["dagster/column_schema"].columns}
    lineage = metadata["dagster/column_lineage"].deps_by_column

    assert list(columns) == [c.column for c in entity.columns]
    assert all(c.description for c in columns.values())
    assert columns[entity.key[0]].constraints.unique
    assert not columns[entity.key[0]].constraints.nullable
    assert {name: {d.column_name for d in deps} for name, deps in lineage.items()} == {
        f.column: set(f.sources) for f in entity.fields
    }
    assert {d.asset_key for deps in lineage.values() for d in deps} == {source_key(entity)}


def test_patches_and_sources_tell_people_what_they_are_too() -> None:
    graph = defs.resolve_asset_graph()
    keys = [patch_key(BUBBLE, p) for p in BUBBLE.patches] + [source_key(e) for e in BUBBLE.entities]
    for key in keys:
        node = graph.get(key)
        assert node.group_name == "bubble", key
        assert node.kinds, key
        assert node.description, key


def test_levels_are_those_of_the_system() -> None:
    graph = defs.resolve_asset_graph()
    levels: dict[int, set[str]] = {}
    for entity in BUBBLE.entities:
        node = graph.get(asset_key(entity))
        assert node.tags["sync/level"] == str(node.metadata["level"])
        levels.setdefault(node.metadata["level"], set()).add(entity.name)

    assert levels == LEVELS


def test_the_lineage_puts_every_table_after_those_of_lower_levels_that_it_links() -> None:
    graph = defs.resolve_asset_graph()
    for entity in BUBBLE.entities:
        parents = graph.get(asset_key(entity)).parent_keys
        tables = {key.path[-1] for key in parents if key.path[0] == "bubble"}
        assert tables == set(entity.hard_parents)
        assert all(BUBBLE.levels[p] < BUBBLE.levels[entity.name] for p in tables)


def test_patches_come_after_both_ends() -> None:
    graph = defs.resolve_asset_graph()
    for patch in BUBBLE.patches:
        upstream = graph.get(patch_key(BUBBLE, patch)).parent_keys
        assert {asset_key(BUBBLE[name]) for name in patch.ends} <= upstream


@pytest.mark.parametrize(("entity", "count"), MAPPED_FIELDS.items())
def test_each_table_maps_as_many_source_fields_as_the_app_has_for_it(
    entity: str, count: int
) -> None:
    names = [name for f in BUBBLE[entity].fields for name in f.sources]

    assert len(names) == len(set(names)) == count


def test_all_jobs_schedules_and_sensors_resolve_to_something_that_runs() -> None:
    jobs = {job.name for job in defs.jobs or ()}
    assert {
        "bubble_sync",
        "bubble_full",
        "invoice_resync",
        "invoice_batch_resync",
        "bubble_partial",
    } <= jobs
    for name in jobs:
        assert defs.resolve_job_def(name).name == name
    for schedule in defs.schedules or ():
        assert defs.resolve_schedule_def(schedule.name).job_name in jobs
    for sensor in defs.sensors or ():
        resolved = defs.resolve_sensor_def(sensor.name)
        assert {t.job_name for t in resolved.targets} <= jobs
    assert {s.name for s in defs.schedules or ()} >= {"bubble_hourly", "bubble_nightly"}
    assert {s.name for s in defs.sensors or ()} >= {
        "bubble_changes",
        "sync_requests",
        "close_history_of_failed",
    }


def test_schedules_and_sensors_are_on_without_anybody_switching_them_on() -> None:
    for schedule in defs.schedules or ():
        status = defs.resolve_schedule_def(schedule.name).default_status
        assert status is dg.DefaultScheduleStatus.RUNNING, schedule.name
    for sensor in defs.sensors or ():
        assert defs.resolve_sensor_def(sensor.name).default_status is (
            dg.DefaultSensorStatus.RUNNING
        ), sensor.name


def test_jobs_that_sync_carry_their_source_so_that_only_one_of_them_runs() -> None:
    for job in defs.jobs or ():
        resolved = defs.resolve_job_def(job.name)
        if any(key.path[0] == "bubble" for key in resolved.asset_layer.selected_asset_keys):
            assert resolved.run_tags.get(SOURCE_TAG) == "bubble", job.name


@pytest.mark.parametrize("name", ["bubble_sync", "bubble_full", "bubble_partial"])
def test_a_sync_takes_every_table_and_both_patches(name: str) -> None:
    selected = defs.resolve_job_def(name).asset_layer.selected_asset_keys

    assert selected == {asset_key(e) for e in BUBBLE.entities} | {
        patch_key(BUBBLE, p) for p in BUBBLE.patches
    }
