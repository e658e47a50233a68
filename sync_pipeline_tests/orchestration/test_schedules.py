"""Schedules: when they launch a run and when they skip."""

from collections.abc import Iterator

import dagster as dg
import pytest

from sync_pipeline.definitions import defs
from sync_pipeline_tests.fixtures import daemon
from sync_pipeline_tests.fixtures.daemon import going, tick
from sync_pipeline_tests.fixtures.postgres import fast_storage, passable_directory


@pytest.fixture(scope="module")
def lasting() -> Iterator[dg.DagsterInstance]:
    """An instance that schedules accept: theirs must be reachable from another process."""
    with passable_directory(fast_storage()) as home, dg.instance_for_test(temp_dir=str(home)) as it:
        yield it


@pytest.fixture
def instance(lasting: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    """The same without runs; what it knows of jobs it may keep. The source is named."""
    monkeypatch.setenv("BUBBLE_API_URL", "http://127.0.0.1:1/api/1.1")
    monkeypatch.setenv("BUBBLE_API_TOKEN", "token")
    for run in lasting.get_runs():
        lasting.delete_run(run.run_id)
    return lasting


@pytest.mark.parametrize("schedule", ["bubble_hourly", "bubble_nightly"])
def test_a_schedule_launches_when_nothing_is_going_on(
    instance: dg.DagsterInstance, schedule: str
) -> None:
    request = tick(instance, schedule)

    assert isinstance(request, dg.RunRequest)
    assert request.run_key is None  # a key would be good for one launch for ever
    assert request.tags["sync/trigger"] == "schedule"


def test_what_runs_by_itself_skips_as_long_as_nobody_has_named_the_source(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BUBBLE_API_URL", "BUBBLE_API_TOKEN"):
        monkeypatch.delenv(name)

    for schedule in ("bubble_hourly", "bubble_nightly"):
        assert tick(instance, schedule) == "BUBBLE_API_URL is not set"
    looked = daemon.look(instance, "bubble_changes")
    assert looked.skip_message == "BUBBLE_API_URL is not set"


@pytest.mark.parametrize("schedule", ["bubble_hourly", "bubble_nightly"])
@pytest.mark.parametrize("job", ["bubble_sync", "bubble_full", "invoice_resync", "bubble_partial"])
def test_a_schedule_skips_while_any_run_of_its_source_is_going(
    instance: dg.DagsterInstance, schedule: str, job: str
) -> None:
    run = going(instance, job, dg.DagsterRunStatus.STARTED, tags={"sync/source": "bubble"})

    said = tick(instance, schedule)

    assert said == f"{job} {run.run_id[:8]} of bubble is still running"


@pytest.mark.parametrize(
    "status",
    [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.CANCELING,
    ],
)
def test_a_run_that_has_not_started_or_not_ended_yet_is_going_too(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    going(instance, "bubble_sync", status, tags={"sync/source": "bubble"})

    assert "is still running" in str(tick(instance, "bubble_hourly"))


def test_a_run_of_some_assets_from_the_ui_is_going_too(instance: dg.DagsterInstance) -> None:
    job = defs.resolve_implicit_global_asset_job_def()
    chosen = frozenset({dg.AssetKey(["bubble", "agent"])})
    run = instance.create_run_for_job(
        job.get_subset(asset_selection=chosen),
        status=dg.DagsterRunStatus.STARTED,
        asset_selection=chosen,
    )
    assert "sync/source" not in run.tags

    assert run.run_id[:8] in str(tick(instance, "bubble_hourly"))


@pytest.mark.parametrize(
    "status",
    [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
)
def test_a_run_that_has_ended_keeps_no_schedule_from_launching(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    going(instance, "bubble_sync", status, tags={"sync/source": "bubble"})

    assert isinstance(tick(instance, "bubble_hourly"), dg.RunRequest)


def test_a_run_of_another_source_keeps_no_schedule_from_launching(
    instance: dg.DagsterInstance,
) -> None:
    going(instance, "bubble_sync", dg.DagsterRunStatus.STARTED, tags={"sync/source": "desktop"})
    going(instance, "retention", dg.DagsterRunStatus.STARTED)

    assert isinstance(tick(instance, "bubble_hourly"), dg.RunRequest)


# -- schedules of a system that goes both ways

OF_DESKTOP = [
    "desktop_hourly",
    "desktop_reverse_hourly",
    "desktop_nightly",
    "desktop_reverse_nightly",
]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both databases are named; no tick asks them anything."""
    monkeypatch.setenv("SYNC_TARGET_DSN", "postgresql://nobody@127.0.0.1:1/mobile")
    monkeypatch.setenv("DESKTOP_DSN", "postgresql://nobody@127.0.0.1:1/desktop")


def test_either_way_is_launched_when_neither_is_going(
    instance: dg.DagsterInstance, named: None
) -> None:
    going(instance, "bubble_sync", dg.DagsterRunStatus.STARTED, tags={"sync/source": "bubble"})
    going(instance, "desktop_reverse", dg.DagsterRunStatus.SUCCESS, tags={"sync/source": "desktop"})

    for schedule in OF_DESKTOP:
        assert isinstance(tick(instance, schedule), dg.RunRequest)


@pytest.mark.parametrize("job", ["desktop_full", "desktop_partial", "desktop_reverse"])
def test_neither_way_is_launched_while_the_other_is_going(
    instance: dg.DagsterInstance, named: None, job: str
) -> None:
    tags = defs.resolve_job_def(job).run_tags
    run = going(instance, job, dg.DagsterRunStatus.STARTED, tags=dict(tags))

    said = f"{job} {run.run_id[:8]} of desktop is still running"
    assert [tick(instance, schedule) for schedule in OF_DESKTOP] == [said] * len(OF_DESKTOP)


@pytest.mark.parametrize("key", [["desktop", "climaster"], ["desktop", "reverse", "climaster"]])
def test_neither_way_is_launched_while_some_of_its_tables_are_synced_from_the_ui(
    instance: dg.DagsterInstance, named: None, key: list[str]
) -> None:
    chosen = frozenset({dg.AssetKey(key)})
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=chosen)
    started = dg.DagsterRunStatus.STARTED
    run = instance.create_run_for_job(job, status=started, asset_selection=chosen)

    for schedule in OF_DESKTOP:
        assert run.run_id[:8] in str(tick(instance, schedule))


def test_neither_way_is_launched_as_long_as_nobody_has_named_the_desktop(
    instance: dg.DagsterInstance, named: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DESKTOP_DSN")

    for schedule in OF_DESKTOP:
        assert "DESKTOP_DSN is not set" in str(tick(instance, schedule))
