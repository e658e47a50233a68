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
from sync_pipeline.model.system import System
from sync_pipeline.orchestration.asset_keys import (
    SOURCE_TAG,
    TARGET_TAG,
    asset_key,
    patch_key,
    source_key,
)
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.reverse import REVERSE
from sync_pipeline.systems.registry import REVERSES, SYSTEMS

SNAPSHOT = Path(__file__).with_name("assets.txt")

LEVELS = {
    "bubble": {
        0: {"agent", "customer"},
        1: {"user"},
        2: {"invoice"},
        3: {"payment", "submitted_payment", "invoice_item"},
        4: {"seda_registration"},
    },
    "desktop": {
        0: {"orgmaster"},
        1: {"locmaster", "conmaster"},
        2: {"climaster", "taskmaster", "jobmaster", "mbstaff", "learequest"},
        3: {"cliunimaster", "jobshead", "taskchecklist", "reminder"},
        4: {"jobtasks", "workdiary", "remdetail"},
    },
    "integrations": {0: {"integration_product", "integration_modifier", "integration_discount"}},
    "meta_assets": {0: {"meta_phone_number"}},
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


ALL_SYSTEMS = (*SYSTEMS, *REVERSES.values())
EVERY_ENTITY = [e for system in ALL_SYSTEMS for e in system.entities]


def named(value: Entity | System) -> str:
    return f"{value.system}-{value.name}" if isinstance(value, Entity) else value.name


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


@pytest.mark.parametrize("entity", EVERY_ENTITY, ids=named)
def test_every_table_tells_people_what_it_is(entity: Entity) -> None:
    node = defs.resolve_asset_graph().get(asset_key(entity))
    [group, *_] = entity.key_prefix

    assert node.group_name == group
    assert node.owners == ["team:data"]
    assert node.kinds == {"postgres", group}
    assert node.tags[SOURCE_TAG] == group
    assert entity.description in (node.description or "")
    assert node.metadata["dagster/table_name"] == f"public.{entity.table}"


@pytest.mark.parametrize("entity", EVERY_ENTITY, ids=named)
def test_every_column_of_a_table_is_in_its_schema_with_its_origin(entity: Entity) -> None:
    metadata = defs.resolve_asset_graph().get(asset_key(entity)).metadata
    columns = {c.name: c for c in metadata["dagster/column_schema"].columns}
    lineage = metadata["dagster/column_lineage"].deps_by_column
    looked_up = {f.column: lookup for f, lookup in entity.lookups}

    assert list(columns) == [c.column for c in entity.columns]
    assert all(c.description for c in columns.values())
    assert {name: {d.column_name for d in deps} for name, deps in lineage.items()} == {
        f.column: {looked_up[f.column].take} if f.lookup else set(f.sources) for f in entity.fields
    }
    assert {
        d.asset_key for name, deps in lineage.items() if name not in looked_up for d in deps
    } == {
        # The reverse run begins where the forward run ended.
        asset_key(DESKTOP[entity.name]) if entity.system == REVERSE.name else source_key(entity)
    }


@pytest.mark.parametrize("entity", EVERY_ENTITY, ids=named)
def test_the_schema_promises_no_more_of_a_key_than_its_index_keeps(entity: Entity) -> None:
    metadata = defs.resolve_asset_graph().get(asset_key(entity)).metadata
    columns = {c.name: c.constraints for c in metadata["dagster/column_schema"].columns}

    unique = {name for name, constraints in columns.items() if constraints.unique}
    filled = {name for name, constraints in columns.items() if not constraints.nullable}

    assert unique == (set(entity.key) if entity.unique_key and len(entity.key) == 1 else set())
    assert filled - {"id", "jt_id", "tc_id"} == (
        {
            f.column
            for f in entity.key_fields
            if not (f.nulls_not_distinct or f.null_means_other_owner)
        }
        if entity.unique_key
        else set()
    )


def test_what_is_looked_up_comes_from_the_table_that_holds_it() -> None:
    metadata = defs.resolve_asset_graph().get(asset_key(DESKTOP["jobtasks"])).metadata
    columns = {c.name: c for c in metadata["dagster/column_schema"].columns}

    [origin] = metadata["dagster/column_lineage"].deps_by_column["client_id"]
    assert (origin.asset_key, origin.column_name) == (asset_key(DESKTOP["jobshead"]), "client_id")
    assert columns["client_id"].description == "from jobshead.client_id on the target → climaster"
    assert columns["jt_id"].type == "bigint"


def test_patches_and_sources_tell_people_what_they_are_too() -> None:
    graph = defs.resolve_asset_graph()
    keys = [patch_key(BUBBLE, p) for p in BUBBLE.patches] + [source_key(e) for e in BUBBLE.entities]
    for key in keys:
        node = graph.get(key)
        assert node.group_name == "bubble", key
        assert node.kinds, key
        assert node.description, key


@pytest.mark.parametrize("system", ALL_SYSTEMS, ids=named)
def test_levels_are_those_of_the_system(system: System) -> None:
    graph = defs.resolve_asset_graph()
    levels: dict[int, set[str]] = {}
    for entity in system.entities:
        node = graph.get(asset_key(entity))
        assert node.tags["sync/level"] == str(node.metadata["level"])
        levels.setdefault(node.metadata["level"], set()).add(entity.name)

    assert levels == LEVELS[system.key_prefix[0]]


@pytest.mark.parametrize("system", ALL_SYSTEMS, ids=named)
def test_the_lineage_puts_every_table_after_those_of_lower_levels_that_it_links(
    system: System,
) -> None:
    graph = defs.resolve_asset_graph()
    own = {asset_key(e): e.name for e in system.entities}
    for entity in system.entities:
        parents = graph.get(asset_key(entity)).parent_keys
        tables = {own[key] for key in parents if key in own}
        assert tables == set(entity.hard_parents)
        assert all(system.levels[p] < system.levels[entity.name] for p in tables)


def test_what_goes_round_between_two_databases_is_no_cycle_in_the_graph() -> None:
    graph = defs.resolve_asset_graph()
    places = {key: i for i, key in enumerate(graph.toposorted_asset_keys)}
    for key, place in places.items():
        assert all(places[parent] < place for parent in graph.get(key).parent_keys)
    for there, back in zip(DESKTOP.entities, REVERSE.entities, strict=True):
        assert asset_key(back).path == ["desktop", "reverse", back.name]
        outside = {
            parent
            for one in (there, back)
            for parent in graph.get(asset_key(one)).parent_keys
            if parent.path[-1] not in one.hard_parents
        }
        assert outside == {source_key(there), asset_key(there)}


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
    assert jobs >= {
        "bubble_sync",
        "bubble_full",
        "invoice_resync",
        "invoice_batch_resync",
        "bubble_partial",
        "desktop_sync",
        "desktop_full",
        "desktop_partial",
        "desktop_reverse",
        "desktop_reverse_full",
        "desktop_reverse_partial",
    }
    for name in jobs:
        assert defs.resolve_job_def(name).name == name
    for schedule in defs.schedules or ():
        assert defs.resolve_schedule_def(schedule.name).job_name in jobs
    for sensor in defs.sensors or ():
        resolved = defs.resolve_sensor_def(sensor.name)
        assert {t.job_name for t in resolved.targets} <= jobs
    assert {s.name for s in defs.sensors or ()} >= {
        "bubble_changes",
        "sync_requests",
        "close_history_of_failed",
    }


@pytest.mark.parametrize(
    ("name", "cron", "zone", "job"),
    [
        ("bubble_hourly", "0 * * * *", "Asia/Kuala_Lumpur", "bubble_sync"),
        ("bubble_nightly", "30 2 * * *", "Asia/Kuala_Lumpur", "bubble_full"),
        ("desktop_hourly", "0 * * * *", "Asia/Kolkata", "desktop_sync"),
        ("desktop_reverse_hourly", "30 * * * *", "Asia/Kolkata", "desktop_reverse"),
        ("desktop_nightly", "15 1 * * *", "Asia/Kolkata", "desktop_full"),
        ("desktop_reverse_nightly", "45 1 * * *", "Asia/Kolkata", "desktop_reverse_full"),
    ],
)
def test_every_system_has_its_hours(name: str, cron: str, zone: str, job: str) -> None:
    schedule = defs.resolve_schedule_def(name)

    assert (schedule.cron_schedule, schedule.execution_timezone) == (cron, zone)
    assert schedule.job_name == job


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
        groups = {key.path[0] for key in resolved.asset_layer.selected_asset_keys}
        assert {resolved.run_tags.get(SOURCE_TAG)} == (groups or {None}), job.name


def test_jobs_that_write_the_desktop_say_so_that_their_history_is_kept_there() -> None:
    for job in defs.jobs or ():
        resolved = defs.resolve_job_def(job.name)
        keys = resolved.asset_layer.selected_asset_keys
        back = {key.path[:2] == ["desktop", "reverse"] for key in keys}
        assert len(back) <= 1, job.name  # never both ways in one run
        assert (resolved.run_tags.get(TARGET_TAG) == "desktop_target") is (back == {True}), job.name


@pytest.mark.parametrize(
    ("system", "jobs"),
    [
        (BUBBLE, ["bubble_sync", "bubble_full", "bubble_partial"]),
        (DESKTOP, ["desktop_sync", "desktop_full", "desktop_partial"]),
        (REVERSE, ["desktop_reverse", "desktop_reverse_full", "desktop_reverse_partial"]),
    ],
    ids=["bubble", "desktop", "desktop_reverse"],
)
def test_a_sync_takes_every_table_and_all_patches(system: System, jobs: list[str]) -> None:
    expected = {asset_key(e) for e in system.entities}
    expected |= {patch_key(system, p) for p in system.patches}
    for name in jobs:
        selected = defs.resolve_job_def(name).asset_layer.selected_asset_keys
        assert selected == expected, name
