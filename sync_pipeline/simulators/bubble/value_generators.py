"""Generators of invented field values, as functions for the catalogue.

A generator takes a random number generator and the record's creation time in milliseconds. Nobody here is
real: phone numbers, identity numbers and addresses are of forms that are not given out.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from sync_pipeline.simulators.bubble.dates import (
    DAY_MS,
    REFERENCE_NOW,
    iso,
    midnight,
    milliseconds,
)

ValueGenerator = Callable[[Random, int], Any]

_NOW_MS = milliseconds(REFERENCE_NOW)

_GIVEN = (
    *("Aminra", "Belvon", "Chandiv", "Dahlara", "Elmizan", "Farolin", "Gunavel", "Haziqor"),
    *("Izmeer", "Jovanni", "Kavinesh", "Liyanor", "Mei Sorin", "Nurmeera", "Oswinder", "Priyalen"),
    *("Qistara", "Rashvin", "Siewling", "Tharuni", "Umairon", "Vimalora", "Wei Taro", "Yusfira"),
)
_FAMILY = (
    *("Abdorin", "Balasor", "Cheongwa", "Darusmin", "Embongar", "Fooksin", "Gopalen", "Hamdoris"),
    *("Ismarel", "Jagateson", "Khoovan", "Limora", "Maniveloo", "Nordinsa", "Ongkara", "Pillavar"),
    *("Ramlison", "Sivarenn", "Tanverra", "Wongsila", "Yapendra", "Zulkarno"),
)
# What makes text hard to carry: escapes, quotes, line ends, scripts, a joined emoji, stray spaces.
_AWKWARD = (
    "prefers WhatsApp 👍🏽 after 6pm",
    "roof:\tclay tiles\nmeter: left side",
    'asked for a "good" price; 10% off?',
    "folder C:\\solar\\2024\\new",
    "客户要求周末安装",
    "சூரிய ஒளி",
    "O'Nurmeera's house — 2nd floor…",
    "line one\r\nline two\r\n",
    "  keep the spaces  ",
    "👨‍👩‍👧 family of 3, 50% <b>discount</b> & {braces}",
    "NULL",
    "\\N",
)
_PLAIN = (
    "Deposit received",
    "Customer away until next month",
    "Site visit done",
    "Waiting for the approval letter",
    "Call before delivery",
    "Panel layout confirmed",
    "Second visit needed",
)
_STREETS = ("Jalan Mentari", "Lorong Suria", "Persiaran Panel", "Jalan Kilowatt", "Lebuh Cerah")
_TOWNS = ("Taman Inverter", "Bandar Fotovolta", "Kampung Contoh", "Desa Watt", "Taman Teladan")
STATES = (
    *("Johor", "Kedah", "Kelantan", "Melaka", "Negeri Sembilan", "Pahang", "Perak", "Perlis"),
    *("Pulau Pinang", "Sabah", "Sarawak", "Selangor", "Terengganu", "Kuala Lumpur", "Putrajaya"),
)


def pick(*options: Any) -> ValueGenerator:
    """One of these; an option given twice comes up twice as often."""
    last = len(options)
    return lambda rng, _: options[int(rng.random() * last)]


def whole(low: int, high: int) -> ValueGenerator:
    """An integer from `low` to `high`."""
    span = high - low + 1
    return lambda rng, _: low + int(rng.random() * span)


def decimal(low: float, high: float, places: int = 2) -> ValueGenerator:
    """A number; integral ones arrive without a fraction, as in JSON from JavaScript."""

    def make(rng: Random, _: int) -> float:
        value = round(low + rng.random() * (high - low), places)
        return int(value) if value == int(value) else value

    return make


def price(median: int) -> ValueGenerator:
    """An amount of money around a median, most often a round one."""

    def make(rng: Random, _: int) -> float:
        value = median * (0.6 + rng.random() * 0.8)
        return round(value, 2) if rng.random() < 0.2 else int(value) // 10 * 10

    return make


def flag(share: float) -> ValueGenerator:
    """A yes/no that is yes for this share."""
    return lambda rng, _: rng.random() < share


def later(days: float) -> ValueGenerator:
    """An instant up to so many days after the record's creation."""
    return lambda rng, created: iso(min(created + int(rng.random() * days * DAY_MS), _NOW_MS))


def day(days: float) -> ValueGenerator:
    """A local midnight up to so many days after the record's creation."""
    return lambda rng, created: midnight(min(created + int(rng.random() * days * DAY_MS), _NOW_MS))


def year(_: Random, created: int) -> int:
    """The year in which the record was created."""
    return int(iso(created)[:4])


def name(rng: Random, _: int) -> str:
    """A person's name that nobody bears."""
    return f"{_GIVEN[int(rng.random() * 24)]} {_FAMILY[int(rng.random() * 22)]}"


def phone(rng: Random, _: int) -> str:
    """A number whose second group, 000, is not given out."""
    return f"+60 1{int(rng.random() * 10)}-000 {int(rng.random() * 10_000):04d}"


def email(rng: Random, _: int) -> str:
    """An address in a domain that is reserved for examples."""
    return f"person.{int(rng.random() * 1_000_000)}@example.com"


def identity_number(rng: Random, _: int) -> str:
    """A number of the national form with place code 00, which does not exist."""
    month, date = 1 + int(rng.random() * 12), 1 + int(rng.random() * 28)
    return f"{int(rng.random() * 100):02d}{month:02d}{date:02d}-00-{int(rng.random() * 10_000):04d}"


def address(rng: Random, _: int) -> str:
    """A postal address, on two lines as often as on one."""
    house, street, town = 1 + int(rng.random() * 200), _one(rng, _STREETS), _one(rng, _TOWNS)
    gap = ",\n" if rng.random() < 0.5 else ", "
    return f"No. {house}, {street} {1 + int(rng.random() * 20)}{gap}{town}, {_one(rng, STATES)}"


def remark(rng: Random, _: int) -> str:
    """A note by a person; one in six is awkward to carry."""
    return _one(rng, _AWKWARD if rng.random() < 0.17 else _PLAIN)


def coded(prefix: str, digits: int) -> ValueGenerator:
    """A code such as `INV-0042`."""
    span = 10**digits
    return lambda rng, _: f"{prefix}{int(rng.random() * span):0{digits}d}"


def picture(folder: str, kind: str = "jpg") -> ValueGenerator:
    """The address of an uploaded file, without its scheme as Bubble often gives it."""
    return lambda rng, _: f"//cdn.example.com/{folder}/{int(rng.random() * 1e12)}.{kind}"


def link(host_path: str) -> ValueGenerator:
    """An https address."""
    return lambda rng, _: f"https://{host_path}/{int(rng.random() * 1e12)}"


def several(most: int, make: ValueGenerator) -> ValueGenerator:
    """A list of one to `most` values."""
    return lambda rng, created: [make(rng, created) for _ in range(1 + int(rng.random() * most))]


def thing(rng: Random, _: int) -> str:
    """The id of a thing of a type that is not simulated, from a pool of a few dozen."""
    number = int(rng.random() * 40)
    return f"{1_672_531_200_000 + number * DAY_MS}x{100_000_000_000_000_000 + number * 7_919}"


def uid(rng: Random, created: int) -> str:
    """A fresh id for a thing created at `created`."""
    return f"{created}x{10**17 + rng.randrange(9 * 10**17)}"


def _one(rng: Random, options: tuple[str, ...]) -> str:
    return options[int(rng.random() * len(options))]
