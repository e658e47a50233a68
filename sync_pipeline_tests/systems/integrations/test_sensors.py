"""What makes menus sync by themselves: configurations' frequencies, new generations, requests of apps."""

import datetime as dt
from pathlib import Path

import dagster as dg
import pytest

from sync_pipeline.definitions import defs
from sync_pipeline.merge.bookkeeping import requests
from sync_pipeline.systems.integrations import schedules, sensors
from sync_pipeline_tests.fixtures import daemon
from sync_pipeline_tests.fixtures.integrations_system import Menus

ALL = ("1001", "1002", "1003")
SENSOR = "integrations_menus"


def partitions(found: dg.SensorResult) -> set[str | None]:
    return {request.partition_key for request in found.run_requests or ()}


def due(menus: Menus) -> set[str | None]:
    """The configurations that the schedule would sync now."""
    found = schedules.due(menus.instance, dt.datetime.now(dt.UTC))
    return set() if isinstance(found, dg.SkipReason) else {r.partition_key for r in found}


def keys(menus: Menus, *establishments: str) -> set[str | None]:
    return {menus.config(e).partition_key for e in establishments}


def look(menus: Menus, cursor: str | None = None) -> dg.SensorResult:
    sensor = defs.resolve_sensor_def(SENSOR)
    with dg.build_sensor_context(instance=menus.instance, cursor=cursor) as context:
        found = sensor(context)
    assert isinstance(found, dg.SensorResult)
    return found


def test_a_configuration_is_due_when_its_own_time_has_passed(menus: Menus) -> None:
    minutes = "update integration_source_configs set last_sync_at = now() - interval '20 minutes'"
    menus.do(minutes + ", sync_frequency_minutes = case site_id when 1 then 15 when 2 then 60 end")

    # Without a frequency of its own the point of sale's default counts, which is 15 minutes.
    assert due(menus) == keys(menus, "1001", "1003")


def test_the_schedule_requests_a_run_for_each_that_is_due(menus: Menus, tmp_path: Path) -> None:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=dt.datetime.now(dt.UTC),
            repository_def=defs.get_repository_def(),
        )
        tick = defs.resolve_schedule_def("integrations_due").evaluate_tick(context)

    requests = tick.run_requests or ()
    assert {r.partition_key for r in requests} == keys(menus, *ALL)
    assert len({r.run_key for r in requests}) == 3


def test_what_was_never_synced_is_due_unless_it_is_switched_off(menus: Menus) -> None:
    menus.do("update integration_source_configs set is_active = false where site_id = 2")

    assert due(menus) == keys(menus, "1001", "1003")


def test_a_failed_sync_waits_for_its_time_like_any_other(menus: Menus) -> None:
    menus.qu.options.forbidden = ALL
    menus.sync("1001")

    assert due(menus) == keys(menus, "1002", "1003")


def test_changed_menus_are_requested_without_reading_them(menus: Menus) -> None:
    menus.sync()
    menus.restaurants.touch("1002")
    menus.qu.stats.reset()

    found = look(menus)

    assert partitions(found) == keys(menus, "1002")
    [request] = list(found.run_requests or ())
    assert menus.restaurants.generation("1002") in str(request.run_key)
    again = look(menus)
    assert [r.run_key for r in again.run_requests or ()] == [request.run_key]


def test_nothing_is_requested_when_no_menu_has_changed(menus: Menus) -> None:
    menus.sync()

    found = look(menus)

    assert not found.run_requests
    assert "none of 3 menus has changed" in str(found.skip_reason)


def test_a_menu_that_cannot_be_checked_keeps_no_other_from_being_requested(menus: Menus) -> None:
    menus.qu.options.forbidden = ("1002",)

    found = look(menus)

    assert partitions(found) == keys(menus, "1001", "1003")


def test_partitions_follow_the_configurations(menus: Menus) -> None:
    menus.instance.add_dynamic_partitions("integration_source_configs", ["closed-down-00000009"])

    changes = look(menus).dynamic_partitions_requests or ()

    added = {
        k
        for c in changes
        if isinstance(c, dg.AddDynamicPartitionsRequest)
        for k in c.partition_keys
    }
    deleted = {
        k
        for c in changes
        if isinstance(c, dg.DeleteDynamicPartitionsRequest)
        for k in c.partition_keys
    }
    # Those that are requested a run for are there already.
    there = set(menus.instance.get_dynamic_partitions("integration_source_configs"))
    assert added | there == keys(menus, *ALL) | {"closed-down-00000009"}
    assert deleted == {"closed-down-00000009"}


def test_few_are_checked_in_one_tick_and_the_rest_in_the_next(
    menus: Menus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "CONFIGS_PER_TICK", 2)

    first = look(menus)
    second = look(menus, first.cursor)

    assert len(partitions(first)) == 2
    assert partitions(first) | partitions(second) == keys(menus, *ALL)


def test_without_a_gateway_nothing_is_tried(menus: Menus, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QU_API_URL", "QU_CLIENT_ID", "QU_CLIENT_SECRET"):
        monkeypatch.delenv(name)

    sensor = defs.resolve_sensor_def(SENSOR)
    with dg.build_sensor_context(instance=menus.instance) as context:
        assert "QU_API_URL is not set" in str(sensor(context))
    assert due(menus) == set()


def test_an_app_that_requests_a_site_gets_all_three_tables_of_it(menus: Menus) -> None:
    config_id = menus.config("1002").config_id
    requests.queue(menus.connection, "integrations", "integration_product", [config_id], "Sync now")

    [request] = daemon.look(menus.instance, "sync_requests").run_requests

    assert request.asset_selection is not None
    assert len(request.asset_selection) == 3
    run = menus.sync(
        job=str(request.job_name), **request.run_config["resources"]["scope"]["config"]
    )
    assert set(menus.steps(run)) == {
        (f"integration_{what}", "1002") for what in ("product", "modifier", "discount")
    }
