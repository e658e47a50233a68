"""What the users of the mobile app entered, which belongs to the app and not to the desktop.

Their ids lie far from the desktop's, except for two reminders and one job whose keys the desktop
gave to others.
"""

from datetime import datetime, time, timedelta
from random import Random

from sync_pipeline.simulators.desktop import reminders, value_generators
from sync_pipeline.simulators.desktop.desktop_rows import FIRST_REMINDER
from sync_pipeline.simulators.desktop.master_data import CONTACTS, FIRST_STAFF, LOCATION, STAFF
from sync_pipeline.simulators.desktop.value_generators import TODAY, Row
from sync_pipeline.simulators.seeded_random import seeded_random

DIARY_ENTRIES = 220
LEAVE_REQUESTS = 35
REMINDERS = 40
ANSWERS = 60
JOBS = 12
TASKS = 30
CHECKLISTS = 10

TAKEN_REMINDERS = (FIRST_REMINDER + 10, FIRST_REMINDER + 70)
_FIRST_REMINDER = 80_000_001
_FIRST_ANSWER = 80_000_001
_FIRST_JOB = 8_000_000_001
_FIRST_TASK = 8_000_001

_NOTES = ("Visited the client", "Vouching", "Call with the bank", "Filed the return", None)
_WORK = ("Stock count on site", "Cash count", "Branch visit", "Papers collected")
_CHECKS = ("Godown keys received", "Count sheets signed", "Photos taken", "Differences noted")
_REMARKS = ("Family function", "Fever", "Exam", None)


def entries(seed: int, clients: list[Row], taken_job: Row) -> dict[str, list[Row]]:
    """Rows that mobile users entered, by table of the mobile app, parents first.

    Args:
        seed: of the random numbers.
        clients: the clients in the app's database.
        taken_job: a job of the desktop whose key one of the app's jobs has too.
    """
    rng = seeded_random(seed, "entries")
    jobs = _jobs(rng, clients, taken_job)
    tasks = [_task(rng, jobs[number % JOBS], number) for number in range(TASKS)]
    free = REMINDERS - len(TAKEN_REMINDERS)
    rem_ids = (*TAKEN_REMINDERS, *range(_FIRST_REMINDER, _FIRST_REMINDER + free))
    return {
        "jobshead": jobs,
        "jobtasks": tasks,
        "taskchecklist": [_checklist(rng, tasks[number]) for number in range(CHECKLISTS)],
        "workdiary": [_diary_entry(rng, number, clients, jobs) for number in range(DIARY_ENTRIES)],
        "reminder": [reminders.reminder(rng, rem_id, clients) for rem_id in rem_ids],
        "remdetail": [
            reminders.answer(rng, _FIRST_ANSWER + number, rng.choice(rem_ids))
            for number in range(ANSWERS)
        ],
        # The app takes the clock's milliseconds modulo 100,000 for their ids.
        "learequest": [
            _leave_request(rng, request_id)
            for request_id in rng.sample(range(100_000), LEAVE_REQUESTS)
        ],
    }


def _jobs(rng: Random, clients: list[Row], taken_job: Row) -> list[Row]:
    jobs = [_job(rng, _FIRST_JOB + number, rng.choice(clients)) for number in range(JOBS)]
    jobs[-1] |= {"job_id": taken_job["job_id"], "sporg_id": taken_job["sporg_id"]}
    return jobs


def _job(rng: Random, job_id: int, client: Row) -> Row:
    begun = value_generators.day(rng, years=0.5)
    return {
        "org_id": client["org_id"],
        "con_id": value_generators.one(rng, CONTACTS),
        "loc_id": LOCATION,
        "job_id": job_id,
        "job_uid": f"M/{begun.year}/{job_id % 1_000:03d}",
        "sporg_id": FIRST_STAFF + int(rng.random() * STAFF),
        "year_id": value_generators.financial_year(begun),
        "client_id": client["client_id"],
        "jobdate": begun,
        "targetdate": begun + timedelta(days=7),
        "job_nature": "N",
        "work_desc": value_generators.one(rng, _WORK),
        "worklocation": "Client site",
        "act_man_min": None,
        "drivefolderpath": None,
        "drivefolderkey": None,
        "job_status": "W",
    }


def _task(rng: Random, job: Row, number: int) -> Row:
    return {
        "org_id": job["org_id"],
        "con_id": job["con_id"],
        "loc_id": job["loc_id"],
        "job_id": job["job_id"],
        "year_id": job["year_id"],
        "task_id": _FIRST_TASK + number,
        "taskorder": number // JOBS + 1,
        "task_desc": value_generators.one(rng, _WORK),
        "jobdet_man_hrs": int(rng.random() * 16) / 4,
        "actual_man_hrs": None,
        "actual_man_min": None,
        "checklistlinked": "Y" if number < CHECKLISTS else "N",
        "client_id": job["client_id"],
        "createdby": f"user{job['sporg_id']}",
        "createddate": job["jobdate"],
        "task_status": 0,
    }


def _checklist(rng: Random, task: Row) -> Row:
    return {
        "org_id": task["org_id"],
        "loc_id": task["loc_id"],
        "task_id": task["task_id"],
        "checklistdesc": value_generators.one(rng, _CHECKS),
        "applicable": "Yes",
        "formatdoc": None,
        "completedby": task["createdby"] if rng.random() < 0.5 else None,
        "completeddate": None,
        "comments": None,
        "checkliststatus": 0,
        "job_id": task["job_id"],
    }


def _diary_entry(rng: Random, number: int, clients: list[Row], jobs: list[Row]) -> Row:
    # Two a day for each of the staff, before and after noon: the app refuses times that overlap.
    slot, employee = divmod(number, STAFF)
    date = TODAY - timedelta(days=slot // 2)
    begun = datetime.combine(date, time(14 if slot % 2 else 9, 30))
    minutes = 15 * (1 + int(rng.random() * 12))
    draw = rng.random()
    return {
        "org_id": 1,
        "con_id": value_generators.one(rng, (*CONTACTS, None)),
        "loc_id": LOCATION,
        "staff_id": FIRST_STAFF + employee,
        "job_id": rng.choice(jobs)["job_id"] if draw < 0.5 else None,
        "task_id": None,
        "date": date,
        "timefrom": begun,
        "timeto": begun + timedelta(minutes=minutes),
        "minutes": minutes,
        "tasknotes": value_generators.note(rng, _NOTES),
        "attachment": "N" if rng.random() < 0.5 else None,
        "doc_ref": None,
        "client_id": rng.choice(clients)["client_id"] if draw < 0.8 else None,
        "cma_id": None,
    }


def _leave_request(rng: Random, request_id: int) -> Row:
    first = value_generators.day(rng, years=1)
    status = value_generators.one(rng, ("P", "A", "R"))
    staff_id = FIRST_STAFF + int(rng.random() * STAFF)
    return {
        "org_id": 1,
        "con_id": value_generators.one(rng, CONTACTS),
        "loc_id": LOCATION,
        "learequest_id": request_id,
        "requestdate": first - timedelta(days=5),
        "fromdate": first,
        "todate": first + timedelta(days=int(rng.random() * 4)),
        "fhvalue": value_generators.one(rng, ("Y", "N", None)),
        "shvalue": value_generators.one(rng, ("Y", "N", None)),
        "leavetype": value_generators.one(rng, ("SL", "CL", "EL", "EM")),
        "leaveremarks": value_generators.note(rng, _REMARKS),
        "createdby": f"user{staff_id}",
        "createddate": first - timedelta(days=5),
        "approval_status": status,
        "approvedby": None if status == "P" else "admin",
        "approveddate": None if status == "P" else first - timedelta(days=2),
        "staff_id": staff_id,
    }
