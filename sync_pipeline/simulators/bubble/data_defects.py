"""What is wrong with the invented company's data, as in the real one: shares of records to spoil.

Everything here is data that a sync must take as it is, except for the three records of
`spoil_beyond_use`, which hold a value that no conversion can make sense of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from sync_pipeline.simulators.bubble import value_generators
from sync_pipeline.simulators.bubble.records import Record, World, born_ms
from sync_pipeline.simulators.seeded_random import dice

Spoiler = Callable[[Random, Any, Record], Any]


@dataclass(frozen=True, slots=True)
class Spoil:
    """A share of the records in which a field is filled gets another value there."""

    type: str
    field: str
    share: float
    spoiler: Spoiler


@dataclass(frozen=True, slots=True)
class BeyondUse:
    """A record that nobody can convert, and the field that is to blame."""

    type: str
    uid: str
    field: str


def _any_of(*values: Any) -> Spoiler:
    return lambda rng, _, __: rng.choice(values)


def _as_text(_: Random, value: Any, __: Record) -> str:
    return str(value)


def _as_day(_: Random, value: Any, __: Record) -> str:
    return str(value)[:10]


def _as_epoch_text(_: Random, __: Any, record: Record) -> str:
    return str(born_ms(record))


def _dangling(rng: Random, _: Any, record: Record) -> str:
    return value_generators.uid(rng, born_ms(record))


def _with_dangling(rng: Random, value: Any, record: Record) -> list[str]:
    return [*value, value_generators.uid(rng, born_ms(record))]


def _with_repeat(_: Random, value: Any, __: Record) -> list[str]:
    return [*value, value[0]]


_YES_NO = _any_of("yes", "no", "TRUE", "true")

SPOILS = (
    # Fractions where everyone expected whole numbers.
    Spoil("seda_registration", "System Size", 0.08, _any_of(9.9, 13.64, 7.44)),
    Spoil("seda_registration", "System Size in FORM kWp", 0.08, _any_of(9.9, 12.4)),
    Spoil("seda_registration", "Inverter kWac", 0.05, _any_of(9.9, 7.5)),
    Spoil("seda_registration", "Average TNB", 0.15, _any_of(941.25, 388.4, 1204.05)),
    Spoil("payment", "Bank Charges", 0.15, _any_of(1.75, 2.5)),
    Spoil("payment", "EPP Month", 0.01, _any_of(17.5)),
    Spoil("invoice_item", "QTY", 0.02, _any_of(1.5, 0.25)),
    Spoil("invoice_item", "EPP", 0.1, _any_of(3.25)),
    Spoil("invoice_item", "Sort", 0.01, _any_of(2.5)),
    # Texts where a number, a date or a yes/no belongs; all of them can be read.
    Spoil("invoice", "Panel Qty", 0.004, _as_text),
    Spoil("invoice", "Performance Tier Month", 0.004, _as_text),
    Spoil("payment", "Amount", 0.004, _as_text),
    Spoil("invoice", "Invoice Date", 0.003, _as_day),
    Spoil("payment", "Payment Date", 0.003, _as_epoch_text),
    Spoil("seda_registration", "Drawing (SYSTEM) Submitted", 0.02, _YES_NO),
    Spoil("invoice", "Need Approval", 0.01, _YES_NO),
    Spoil("invoice_item", "is a Package?", 0.002, _YES_NO),
    # Options that nobody told the other side about.
    Spoil("invoice", "Approval Status", 0.003, _any_of("Escalated (beta)")),
    Spoil("payment", "Payment Method V2", 0.004, _any_of("E-WALLET")),
    Spoil("seda_registration", "Reg Status", 0.003, _any_of("Awaiting TNB ⚡")),
    # Links to things that were deleted, and lists that hold a thing twice.
    Spoil("agent", "Linked User Login", 0.02, _dangling),
    Spoil("customer_profile", "Linked Agent", 0.01, _dangling),
    Spoil("customer_profile", "Created By", 0.01, _dangling),
    Spoil("invoice", "Linked Customer", 0.01, _dangling),
    Spoil("invoice", "Linked Agent", 0.01, _dangling),
    Spoil("invoice", "Linked SEDA registration", 0.005, _dangling),
    Spoil("payment", "Linked Invoice", 0.01, _dangling),
    Spoil("invoice_item", "Linked Invoice", 0.01, _dangling),
    Spoil("invoice", "Linked Payment", 0.02, _with_dangling),
    Spoil("invoice", "Linked Payment", 0.02, _with_repeat),
    Spoil("invoice", "Linked Invoice Item", 0.02, _with_dangling),
    Spoil("invoice", "Linked Invoice Item", 0.02, _with_repeat),
    Spoil("seda_registration", "Linked Invoice", 0.02, _with_dangling),
    Spoil("seda_registration", "Linked Invoice", 0.02, _with_repeat),
)

_BEYOND_USE = (
    ("invoice_item", "QTY", "abc"),
    ("payment", "Amount", "n/a"),
    ("seda_registration", "TNB Meter Install Date", "to be confirmed"),
)


def spoil(world: World, *, sparing: frozenset[str]) -> None:
    """Spoil shares of the records, at least one of each sort, but not the records to spare."""
    rng = dice(world.seed, "dirt")
    for rule in SPOILS:
        filled = [
            record
            for record in world.records[rule.type]
            if rule.field in record and record["_id"] not in sparing
        ]
        for record in rng.sample(filled, min(max(round(len(filled) * rule.share), 1), len(filled))):
            record[rule.field] = rule.spoiler(rng, record[rule.field], record)


def spoil_beyond_use(world: World, *, sparing: frozenset[str]) -> tuple[BeyondUse, ...]:
    """Make three records that cannot be converted."""
    rng = dice(world.seed, "beyond use")
    ruined: list[BeyondUse] = []
    for kind, field, value in _BEYOND_USE:
        record = rng.choice([r for r in world.records[kind] if r["_id"] not in sparing])
        record[field] = value
        ruined.append(BeyondUse(kind, record["_id"], field))
    return tuple(ruined)
