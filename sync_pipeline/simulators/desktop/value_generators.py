"""Generators of invented values: people, firms, addresses, days, and text that is hard to transfer.

Nobody here is real: names are made of invented words, mail addresses are in a domain reserved
for examples, and no phone number in India begins with 00000.
"""

from datetime import date, timedelta
from random import Random
from typing import Any, Final, TypeVar

Row = dict[str, Any]
T = TypeVar("T")

TODAY: Final = date(2025, 11, 1)

GIVEN_NAMES: Final = (
    *("Aaravin", "Bhavarika", "Chandrel", "Devanshir", "Eshwarin", "Falgunar", "Girishan"),
    *("Harinaksh", "Ishvandra", "Jayamoli", "Kartivel", "Lalitara", "Madhuvan", "Nandiksha"),
    *("Omkaresh", "Pranavika", "Rukmelan", "Saraveni", "Tanushri Vel", "Umanthi", "Vidyaran"),
)
FAMILY_NAMES: Final = (
    *("Agravelli", "Bansoriya", "Chaturmani", "Deshvanti", "Gokharan", "Iyerkal", "Joshivan"),
    *("Kulkarel", "Malhotrin", "Nambivar", "Patelkoti", "Raghuvelu", "Sharmavat", "Tripathen"),
    *("Upadhyan", "Varmasi", "Yadaveli"),
)
FIRM_WORDS: Final = (
    *("Aakaravel", "Bhumidhan", "Chitrapur Contoso", "Dhanvriksh", "Gajendrix", "Indralok Demo"),
    *("Jalsamriddh", "Kanchivira", "Lakshadeepam", "Mayurika", "Navratnesh", "Pushpavatika"),
    *("Ratnamala Sample", "Suryakiranam", "Tejasvani", "Vajranidhi"),
)
FIRM_TRADES: Final = (
    *("Textiles", "Agro Foods", "Steel Works", "Jewellers", "Software", "Transport", "Pharma"),
    *("Constructions", "Spices", "Ceramics", "Traders", "Engineering"),
)
FIRM_FORMS: Final = ("Pvt Ltd", "LLP", "& Sons", "& Co", "Associates", "Enterprises")

# Escapes of COPY, quotes, other scripts, a joined emoji, spaces at both ends.
AWKWARD: Final = (
    "GST return\tfiled late\nsee mail",
    'client says "urgent"; 18% slab?',
    "folder D:\\audit\\2024\\new",
    "लेखा परीक्षा लंबित",
    "கணக்கு தணிக்கை",
    "O'Bansoriya's file — 2nd copy…",
    "  keep the spaces  ",
    "👨‍👩‍👧 family trust ✓",
    "NULL",
    "\\N",
)


def one(rng: Random, options: tuple[T, ...]) -> T:
    """One of these; an option given twice comes up twice as often."""
    return options[int(rng.random() * len(options))]


def person(rng: Random) -> str:
    """A person's name that nobody bears."""
    return f"{one(rng, GIVEN_NAMES)} {one(rng, FAMILY_NAMES)}"


def firm(rng: Random) -> str:
    """The name of a company that does not exist."""
    return f"{one(rng, FIRM_WORDS)} {one(rng, FIRM_TRADES)} {one(rng, FIRM_FORMS)}"


def mail(rng: Random, name: str) -> str:
    """An address in a domain that is reserved for examples."""
    return f"{name.split(maxsplit=1)[0].lower()}.{int(rng.random() * 100_000)}@example.com"


def phone(rng: Random) -> str:
    """A number of the national form that cannot be dialled."""
    return f"+91 00000 {int(rng.random() * 100_000):05d}"


def day(rng: Random, *, years: float) -> date:
    """A day within so many years before `TODAY`."""
    return TODAY - timedelta(days=int(rng.random() * years * 365))


def financial_year(day: date) -> int:
    """The year from April to March that a day is in, such as 20242025."""
    first = day.year if day.month >= 4 else day.year - 1
    return first * 10_000 + first + 1


def note(rng: Random, plain: tuple[T, ...]) -> T | str:
    """One of these remarks; one time in twenty something awkward to carry instead."""
    return one(rng, AWKWARD if rng.random() < 0.05 else plain)
