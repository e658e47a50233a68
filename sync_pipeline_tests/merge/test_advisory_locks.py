"""Names of advisory locks: processes of different versions exclude each other by them."""

from uuid import UUID

from sync_pipeline.merge import advisory_locks
from sync_pipeline_tests.fixtures.sample_system import SHOP


def test_the_names_of_locks_never_change() -> None:
    run_id = UUID("95241c4d-1d9c-4dcb-87df-99b49bcc637f")

    assert advisory_locks.entity_lock(SHOP) == "sync_pipeline public.shop"
    assert advisory_locks.system_lock("desktop") == "sync_pipeline system desktop"
    assert advisory_locks.run_lock(run_id) == f"sync_pipeline run {run_id}"
    assert advisory_locks.MIGRATION == "sync_pipeline migrate"
