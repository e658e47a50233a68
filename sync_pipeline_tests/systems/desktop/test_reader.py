"""What an incremental run reads of the desktop, and that no forward run can write it."""

import pytest

from sync_pipeline.errors import SourceBroken
from sync_pipeline_tests.fixtures.desktop import Practice, counted

TRICK = """
create function noted() returns boolean language plpgsql as
    $$ begin insert into taskmaster (task_id) values (1); return true; end $$;
alter table jobshead rename to jobs;
create view jobshead as select * from jobs where noted()
"""


@pytest.fixture
def thousand_jobs(office: Practice) -> Practice:
    office.desktop.run(
        "insert into jobshead (org_id, con_id, loc_id, job_id, sporg_id, client_id, work_desc)"
        " select 1, 1, 1, n, 1001, 10001, 'Audit' from generate_series(1, 1000) n"
    )
    office.forward("jobshead")
    return office


def test_an_incremental_run_reads_only_ranges_that_changed(thousand_jobs: Practice) -> None:
    full = thousand_jobs.forward("jobshead", mode="full")["jobshead"]
    thousand_jobs.desktop.run("update jobshead set work_desc = 'x' where job_id in (5, 900)")
    thousand_jobs.desktop.run("update jobshead set jctincharge = 'Y' where job_id = 500")

    result = thousand_jobs.forward("jobshead")["jobshead"]
    nothing = thousand_jobs.forward("jobshead")["jobshead"]

    assert (full.counts.read, full.metadata["ranges"]) == (1000, 7)
    assert (result.metadata["ranges_moved"], result.counts.updated) == (2, 2)
    assert result.counts.read < 300
    assert result.metadata["bytes"] < full.metadata["bytes"] / 2
    assert (counted(nothing), nothing.metadata["ranges_moved"]) == ({}, 0)


def test_a_row_that_moves_to_another_range_and_a_new_one_are_found(
    thousand_jobs: Practice,
) -> None:
    thousand_jobs.desktop.run("update jobshead set job_id = 2000 where job_id = 5")
    thousand_jobs.desktop.run("insert into jobshead select * from jobshead where job_id = 900")
    thousand_jobs.desktop.run(
        "update jobshead set sporg_id = 7 where ctid = (select max(ctid) from jobshead)"
    )

    result = thousand_jobs.forward("jobshead")["jobshead"]

    assert result.counts.inserted == 2
    new = "select job_id::int, sporg_id::int from jobshead where job_id > 1000 or sporg_id = 7 order by 1"
    found = [tuple(row.values()) for row in thousand_jobs.mobile.rows(new)]
    assert found == [(900, 7), (2000, 1001)]


def test_the_desktop_is_read_in_a_transaction_that_cannot_write(thousand_jobs: Practice) -> None:
    thousand_jobs.desktop.run(TRICK)

    with pytest.raises(SourceBroken, match="cannot execute INSERT in a read-only transaction"):
        thousand_jobs.forward("jobshead", mode="full")

    assert thousand_jobs.desktop.rows("select * from taskmaster") == []
