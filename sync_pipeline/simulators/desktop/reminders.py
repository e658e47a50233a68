"""Reminders, and what the staff answered to them; the desktop's and the mobile app's are alike."""

from datetime import time, timedelta
from random import Random

from sync_pipeline.simulators.desktop import value_generators
from sync_pipeline.simulators.desktop.master_data import FIRST_STAFF, LOCATION, STAFF
from sync_pipeline.simulators.desktop.value_generators import Row

_TYPES = ("Due date", "Meeting", "Call back", "Documents")
_TITLES = ("GSTR-3B due", "Advance tax instalment", "Board meeting", "Collect papers", "Renew DSC")
_NOTES = (None, "Bring the file", "Ask for the signed copy", "Second reminder")
_ANSWERS = (None, "Seen", "Will do", "Done", "On leave that day")


def reminder(rng: Random, rem_id: int, clients: list[Row]) -> Row:
    """A reminder to one of the staff, most often about one of these clients."""
    due = value_generators.day(rng, years=2)
    client = rng.choice(clients) if rng.random() < 0.8 else None
    made_by = f"user{_employee(rng)}"
    return {
        "rem_id": rem_id,
        "org_id": 1,
        "loc_id": LOCATION,
        "year_id": value_generators.financial_year(due),
        "staff_id": _employee(rng),
        "remdate": due - timedelta(days=7),
        "client_id": client["client_id"] if client else None,
        "client_name": client["clientname"] if client else None,
        "remtype": value_generators.one(rng, _TYPES),
        "remnotes": value_generators.note(rng, _NOTES),
        "remduedate": due,
        "user_create": made_by,
        "user_modify": made_by if rng.random() < 0.2 else None,
        "user_create_dt": due - timedelta(days=20),
        "user_modify_dt": due - timedelta(days=10) if rng.random() < 0.2 else None,
        "remtotype": value_generators.one(rng, ("S", "A", " ")),
        "remstatus": 1 if rng.random() < 0.6 else 0,
        "remtime": time(8 + int(rng.random() * 10), 30 if rng.random() < 0.5 else 0),
        "remtitle": value_generators.one(rng, _TITLES),
        "color": int(rng.random() * 0xFFFFFF),
    }


def answer(rng: Random, remdetid: int, rem_id: int) -> Row:
    """What one of the staff made of a reminder."""
    return {
        "remdetid": remdetid,
        "rem_id": rem_id,
        "staff_id": _employee(rng),
        "remresponse": value_generators.note(rng, _ANSWERS),
        "remresstatus": value_generators.one(rng, ("P", "D", None)),
    }


def _employee(rng: Random) -> int:
    return FIRST_STAFF + int(rng.random() * STAFF)
