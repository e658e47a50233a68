"""The practice's work as the desktop keeps it: jobs, their tasks, and the checklists of tasks.

Their data defects are part of them: one row of a job per person, links to clients that no longer exist,
blanks for empty codes, and duplicate rows.
"""

from collections.abc import Iterator
from datetime import time, timedelta
from itertools import groupby, islice
from operator import itemgetter
from random import Random

from sync_pipeline.simulators.desktop import value_generators
from sync_pipeline.simulators.desktop.duplicate_rows import repeat
from sync_pipeline.simulators.desktop.master_data import (
    CONTACTS,
    FIRST_CLIENT,
    FIRST_STAFF,
    LOCATION,
)
from sync_pipeline.simulators.desktop.row_counts import RowCounts
from sync_pipeline.simulators.desktop.value_generators import Row
from sync_pipeline.simulators.seeded_random import seeded_random

JOBS_WITHOUT_CLIENT = 0.64
MOST_ROWS_OF_ONE_JOB = 24
REPEATED_JOBS = (3, *[2] * 8)
REPEATED_TASKS = (*[2] * 14,)
REPEATED_CHECKLISTS = (*[2] * 5,)
CHECKLISTS_WITHOUT_TASK = 3

# The first job has a key that the mobile app uses too, the second has no key at all.
FIRST_JOB = 100_001
_JOB_OF_NOBODY = FIRST_JOB + 1
_FIRST_TASK = 101
_FIRST_MISSING_CLIENT = 500_001
# The staff and people who left; only the ids are left of those.
_PEOPLE = range(FIRST_STAFF, FIRST_STAFF + 40)
_STATUSES = (*"WPPDDALGCCCC",)
_NATURES = (*"RRRN", None)
_OWNERS = ("D", None)
_WORK = (
    *("Statutory audit", "Tax audit", "GST annual return", "TDS return Q2", "ITR filing"),
    *("ROC annual filing", "Internal audit", "Bank stock audit", "Bookkeeping", "Trust audit"),
)
_VERBS = ("Collect", "Vouch", "Reconcile", "Verify", "Prepare", "Review", "File", "Archive")
_PAPERS = (
    *("bank statements", "sales register", "purchase bills", "TDS challans", "asset register"),
    *("loan balances", "stock records", "list of debtors", "list of creditors", "final accounts"),
)
_TASKS = tuple(f"{verb} {paper}" for paper in _PAPERS for verb in _VERBS)
_CHECKS = ("obtained", "tallied", "signed", "stamped", "scanned", "returned")
_PERIODS = ("Q1", "Q2", "Q3", "Q4", "FY 2023-24", "FY 2024-25")
_DURATIONS = tuple(time(minutes // 60, minutes % 60) for minutes in range(15, 480, 15))
_COMMENTS = (None, None, "Pending with client", "Second copy asked for", "Done", "See mail")


def jobs(seed: int, counts: RowCounts) -> list[Row]:
    """The rows of jobshead, the repeated ones included."""
    surplus = sum(REPEATED_JOBS) - len(REPEATED_JOBS)
    rows = list(islice(unique_jobs(seed, counts), counts.jobs - surplus))
    repeat(seeded_random(seed, "repeated jobs"), rows, REPEATED_JOBS, _reopened, spared=2)
    return rows


def unique_jobs(seed: int, counts: RowCounts) -> Iterator[Row]:
    """Jobs without end, for a practice of this size; no two have both job_id and sporg_id alike."""
    rng = seeded_random(seed, "jobs")
    worst = FIRST_JOB + counts.jobs // 6
    job_id = FIRST_JOB
    while True:
        count = 1
        if job_id == worst:
            count = MOST_ROWS_OF_ONE_JOB
        elif job_id > _JOB_OF_NOBODY and rng.random() < 0.015:
            count = rng.randint(2, 6)
        job = _job(rng, job_id, counts.clients)
        for person in rng.sample(_PEOPLE, count):
            yield job | _share(rng, None if job_id == _JOB_OF_NOBODY else person)
        job_id += 1


def tasks(seed: int, counts: RowCounts, heads: list[Row]) -> list[Row]:
    """The rows of jobtasks: tasks of these jobs, the repeated ones included."""
    rng = seeded_random(seed, "tasks")
    jobs = list({head["job_id"]: head for head in heads}.values())
    unique = counts.tasks - len(REPEATED_TASKS)
    draws = sorted(int(rng.random() * len(jobs)) for _ in range(unique))
    rows: list[Row] = []
    for number, same in groupby(draws):
        first = int(rng.random() * len(_TASKS))
        rows += [_task(rng, jobs[number], first, order) for order, _ in enumerate(same)]
    repeat(seeded_random(seed, "repeated tasks"), rows, REPEATED_TASKS, _worked_on)
    return rows


def checklists(seed: int, counts: RowCounts) -> list[Row]:
    """The rows of taskchecklist, three of them for no task, the repeated ones included."""
    rng = seeded_random(seed, "checklists")
    unique = counts.checklists - len(REPEATED_CHECKLISTS) - CHECKLISTS_WITHOUT_TASK
    rows = [
        _checklist(rng, _FIRST_TASK + number % len(_TASKS), number // len(_TASKS))
        for number in range(unique)
    ]
    rows.sort(key=itemgetter("task_id"))
    repeat(seeded_random(seed, "repeated checklists"), rows, REPEATED_CHECKLISTS, _commented)
    return rows + [_checklist(rng, None, number) for number in range(CHECKLISTS_WITHOUT_TASK)]


def _job(rng: Random, job_id: int, clients: int) -> Row:
    number = job_id - FIRST_JOB
    begun = value_generators.day(rng, years=4)
    is_missing = rng.random() < JOBS_WITHOUT_CLIENT
    work = value_generators.note(rng, _WORK)
    return {
        "org_id": 1 if rng.random() < 0.9 else 2,
        "con_id": 0 if rng.random() < 0.3 else value_generators.one(rng, CONTACTS),
        "loc_id": LOCATION,
        "job_id": job_id,
        "job_uid": f"J/{begun.year}/{number + 1:05d}",
        "year_id": value_generators.financial_year(begun),
        "client_id": int(rng.random() * clients)
        + (_FIRST_MISSING_CLIENT if is_missing else FIRST_CLIENT),
        "jobdate": begun,
        "targetdate": begun + timedelta(days=30) if rng.random() < 0.8 else None,
        # Forms that pad: a blank for no code, blanks after a text.
        "job_nature": " " if number % 300 == 3 else value_generators.one(rng, _NATURES),
        "work_desc": f"{work:<40}" if number % 300 == 4 else work,
        "worklocation": "Client site" if rng.random() < 0.3 else "Office",
        "drivefolderpath": f"/jobs/{begun.year}/{job_id}" if rng.random() < 0.2 else None,
        "drivefolderkey": None,
        "job_status": " " if number % 300 == 5 else value_generators.one(rng, _STATUSES),
    }


def _share(rng: Random, person: int | None) -> Row:
    """What differs between the rows of one job: who does it, and for how long."""
    return {
        "sporg_id": person,
        "jctincharge": "Y" if rng.random() < 0.5 else "N",
        "act_man_min": int(rng.random() * 3_000) if rng.random() < 0.5 else None,
        "source": value_generators.one(rng, _OWNERS),
    }


def _task(rng: Random, job: Row, first: int, order: int) -> Row:
    place = (first + order) % len(_TASKS)
    is_begun = rng.random() < 0.6
    return {
        "org_id": job["org_id"],
        "con_id": job["con_id"],
        "loc_id": job["loc_id"],
        "job_id": job["job_id"],
        "year_id": job["year_id"],
        "task_id": _FIRST_TASK + place,
        "taskorder": order + 1,
        "task_desc": _TASKS[place],
        "jobdet_man_hrs": int(rng.random() * 40) / 4,
        "actual_man_hrs": value_generators.one(rng, _DURATIONS) if is_begun else None,
        "actual_man_min": int(rng.random() * 480) if is_begun else None,
        "checklistlinked": "Y" if rng.random() < 0.3 else "N",
        "source": value_generators.one(rng, _OWNERS),
    }


def _checklist(rng: Random, task_id: int | None, number: int) -> Row:
    # Tasks begin at different places of one long list, so that each has descriptions of its own.
    rest, check = divmod(number + (task_id or 0) * 37 % 360, len(_CHECKS))
    rest, period = divmod(rest, len(_PERIODS))
    part, paper = divmod(rest, len(_PAPERS))
    suffix = f", part {part + 1}" if part else ""
    is_done = rng.random() < 0.4
    return {
        "org_id": 1,
        "loc_id": LOCATION,
        "task_id": task_id,
        "checklistdesc": f"{_PAPERS[paper]} {_PERIODS[period]} {_CHECKS[check]}{suffix}",
        "applicable": "Yes" if rng.random() < 0.8 else "No",
        "formatdoc": f"F{int(rng.random() * 90) + 10}" if rng.random() < 0.3 else None,
        "completedby": f"user{rng.choice(_PEOPLE)}" if is_done else None,
        "completeddate": value_generators.day(rng, years=1) if is_done else None,
        "comments": value_generators.note(rng, _COMMENTS),
        "checkliststatus": 1 if is_done else 0,
        "source": value_generators.one(rng, _OWNERS),
    }


def _reopened(job: Row) -> Row:
    status = "W" if job["job_status"] == "P" else "P"
    return job | {"job_status": status, "act_man_min": (job["act_man_min"] or 0) + 45}


def _worked_on(task: Row) -> Row:
    return task | {"actual_man_min": (task["actual_man_min"] or 0) + 30}


def _commented(checklist: Row) -> Row:
    return checklist | {"comments": "Entered again", "checkliststatus": 1}
