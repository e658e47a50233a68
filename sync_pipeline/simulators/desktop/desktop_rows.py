"""All rows of the desktop database, and its master rows, which the mobile app has too.

The entry point to the desktop's data, which `master_data`, `jobs`, `reminders` and `duplicate_rows`
generate.
"""

from sync_pipeline.simulators.desktop import jobs, master_data, reminders, value_generators
from sync_pipeline.simulators.desktop.row_counts import RowCounts
from sync_pipeline.simulators.desktop.schema import DESKTOP_TABLES
from sync_pipeline.simulators.desktop.value_generators import Row
from sync_pipeline.simulators.seeded_random import seeded_random

REMINDERS = 121
ANSWERS = 65
ANSWERS_TO_NOTHING = 2

FIRST_REMINDER = 5_001
_FIRST_ANSWER = 7_001
_NO_SUCH_REMINDERS = (990_001, 990_002)


def desktop_rows(seed: int, scale: float) -> dict[str, list[Row]]:
    """The rows of every table of the desktop, by table; the same for the same seed and scale."""
    counts = RowCounts.at(scale)
    known = master_rows(seed, counts)
    heads = jobs.jobs(seed, counts)
    rows = {table: list[Row]() for table in DESKTOP_TABLES} | known
    rows["jobshead"] = heads
    rows["jobtasks"] = jobs.tasks(seed, counts, heads)
    rows["taskchecklist"] = jobs.checklists(seed, counts)
    rows["mbreminder"] = _reminders(seed, known["climaster"])
    rows["mbremdetail"] = _answers(seed)
    return rows


def master_rows(seed: int, counts: RowCounts) -> dict[str, list[Row]]:
    """The rows of the master tables that are not empty, by table, parents first."""
    return {
        "orgmaster": master_data.orgs(),
        "locmaster": master_data.locations(),
        "conmaster": master_data.contacts(seed),
        "climaster": master_data.clients(seed, counts.clients),
        "mbstaff": master_data.staff(seed),
    }


def _reminders(seed: int, clients: list[Row]) -> list[Row]:
    rng = seeded_random(seed, "reminders")
    return [
        reminders.reminder(rng, FIRST_REMINDER + number, clients)
        | {"source": value_generators.one(rng, ("D", None))}
        for number in range(REMINDERS)
    ]


def _answers(seed: int) -> list[Row]:
    rng = seeded_random(seed, "answers")
    answered = [FIRST_REMINDER + int(rng.random() * REMINDERS) for _ in range(ANSWERS)]
    answered[-ANSWERS_TO_NOTHING:] = _NO_SUCH_REMINDERS
    return [
        reminders.answer(rng, _FIRST_ANSWER + number, rem_id)
        | {"source": value_generators.one(rng, ("D", None))}
        for number, rem_id in enumerate(answered)
    ]
