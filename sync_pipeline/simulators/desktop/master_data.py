"""The practice's master data: its firms, offices, contacts, clients and staff.

Links are as in the real data: most clients and all staff name a contact that does not exist.
"""

from datetime import date, timedelta
from random import Random

from sync_pipeline.simulators.desktop import value_generators
from sync_pipeline.simulators.desktop.value_generators import Row
from sync_pipeline.simulators.seeded_random import seeded_random

CLIENTS_WITHOUT_CONTACT = 594 / 729
STAFF = 16

FIRST_CLIENT = 10_001
FIRST_STAFF = 1_001
CONTACTS = (101, 102, 103, 104)
_NO_SUCH_CONTACTS = range(900, 960)

LOCATION = 1


def orgs() -> list[Row]:
    """The two firms that share the office."""
    return [
        {"org_id": 1, "orgname": "Velan Nambivar Demo & Associates", "source": None},
        {"org_id": 2, "orgname": "Velan Sample Advisory LLP", "source": None},
    ]


def locations() -> list[Row]:
    """The one office."""
    return [{"org_id": 1, "loc_id": LOCATION, "locname": "Head Office", "source": None}]


def contacts(seed: int) -> list[Row]:
    """The contacts that clients may link to."""
    rng = seeded_random(seed, "contacts")
    return [_contact(rng, con_id) for con_id in CONTACTS]


def clients(seed: int, count: int) -> list[Row]:
    """The clients; `CLIENTS_WITHOUT_CONTACT` of them link to no contact that exists."""
    rng = seeded_random(seed, "clients")
    unlinked = round(count * CLIENTS_WITHOUT_CONTACT)
    links = [_no_contact(rng, number) for number in range(unlinked)]
    links += [value_generators.one(rng, CONTACTS) for _ in range(count - unlinked)]
    rng.shuffle(links)
    return [_client(rng, number, con_id) for number, con_id in enumerate(links)]


def staff(seed: int) -> list[Row]:
    """The staff, whose links to contacts all dangle."""
    rng = seeded_random(seed, "staff")
    return [_employee(rng, FIRST_STAFF + number) for number in range(STAFF)]


def _no_contact(rng: Random, number: int) -> int | None:
    draw = rng.random()
    # One of each sort comes first, so that a small practice has them all.
    kind = number if number < 3 else 0 if draw < 0.5 else 1 if draw < 0.75 else 2
    return (0, None, rng.choice(_NO_SUCH_CONTACTS))[kind]


def _contact(rng: Random, con_id: int) -> Row:
    name = value_generators.person(rng)
    return {
        "org_id": 1,
        "con_id": con_id,
        "conname": name,
        "conmail": value_generators.mail(rng, name),
        "conphone": value_generators.phone(rng),
        "source": None,
    }


def _client(rng: Random, number: int, con_id: int | None) -> Row:
    name = value_generators.firm(rng) if rng.random() < 0.6 else value_generators.person(rng)
    has_mail, has_phone = number % 3 > 0, rng.random() < 0.8
    return {
        "org_id": 1 if rng.random() < 0.9 else 2,
        "con_id": con_id,
        "loc_id": LOCATION,
        "client_id": FIRST_CLIENT + number,
        "clientname": name,
        "clientmail": value_generators.mail(rng, name) if has_mail else None,
        "clientphone": value_generators.phone(rng) if has_phone else None,
        "source": None,
    }


def _employee(rng: Random, staff_id: int) -> Row:
    name = value_generators.person(rng)
    joined = value_generators.day(rng, years=9)
    left = rng.random() < 0.2
    is_accountant = rng.random() < 0.4
    return {
        "org_id": 1,
        "con_id": rng.choice(_NO_SUCH_CONTACTS),
        "loc_id": LOCATION,
        "staff_id": staff_id,
        "app_username": f"user{staff_id}",
        "app_pw": f"invented-{int(rng.random() * 10_000):04d}",
        "stafftype": 1 + int(rng.random() * 3),
        "name": name,
        "phonumber": value_generators.phone(rng),
        "dob": date(1970, 1, 1) + timedelta(days=int(rng.random() * 11_000)),
        "email": value_generators.mail(rng, name),
        "whetherca": "Yes" if is_accountant else "No",
        "ca_mem_no": f"X{int(rng.random() * 100_000):05d}" if is_accountant else None,
        "desc_id": 10 + int(rng.random() * 6),
        "spdoj": joined,
        "createdby": "admin",
        "createddate": joined,
        "suspendedby": None,
        "suspendeddate": None,
        "revokedby": None,
        "revokeddate": None,
        "terminatedby": "admin" if left else None,
        "terminateddate": value_generators.TODAY if left else None,
        "active_status": 0 if left else 1,
        "source": None,
    }
