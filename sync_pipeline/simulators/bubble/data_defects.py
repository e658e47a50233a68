"""Data defects of the invented company, as in the real one: shares of records that get bad values.

A sync must convert all of them, except for the three records of `plant_unconvertible`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from sync_pipeline.simulators.bubble import value_generators
from sync_pipeline.simulators.bubble.records import CompanyBuilder, Record, created_ms
from sync_pipeline.simulators.seeded_random import seeded_random

Corruption = Callable[[Random, Any, Record], Any]


@dataclass(frozen=True, slots=True)
class Defect:
    """A share of the records in which a field is filled gets another value there."""

    type: str
    field: str
    share: float
    corruption: Corruption


@dataclass(frozen=True, slots=True)
class UnconvertibleRecord:
    """A record that cannot be converted, and the field that prevents it."""

    type: str
    uid: str
    field: str


def _any_of(*values: Any) -> Corruption:
    return lambda rng, _, __: rng.choice(values)


def _as_text(_: Random, value: Any, __: Record) -> str:
    return str(value)


def _as_day(_: Random, value: Any, __: Record) -> str:
    return str(value)[:10]


def _as_epoch_text(_: Random, __: Any, record: Record) -> str:
    return str(created_ms(record))


def _dangling(rng: Random, _: Any, record: Record) -> str:
    return value_generators.uid(rng, created_ms(record))


def _with_dangling(rng: Random, value: Any, record: Record) -> list[str]:
    return [*value, value_generators.uid(rng, created_ms(record))]


def _with_repeat(_: Random, value: Any, __: Record) -> list[str]:
    return [*value, value[0]]


_YES_NO = _any_of("yes", "no", "TRUE", "true")

DEFECTS = (
    # Fractions where everyone expected whole numbers.
    Defect("seda_registration", "System Size", 0.08, _any_of(9.9, 13.64, 7.44)),
    Defect("seda_registration", "System Size in FORM kWp", 0.08, _any_of(9.9, 12.4)),
    Defect("seda_registration", "Inverter kWac", 0.05, _any_of(9.9, 7.5)),
    Defect("seda_registration", "Average TNB", 0.15, _any_of(941.25, 388.4, 1204.05)),
    Defect("payment", "Bank Charges", 0.15, _any_of(1.75, 2.5)),
    Defect("payment", "EPP Month", 0.01, _any_of(17.5)),
    Defect("invoice_item", "QTY", 0.02, _any_of(1.5, 0.25)),
    Defect("invoice_item", "EPP", 0.1, _any_of(3.25)),
    Defect("invoice_item", "Sort", 0.01, _any_of(2.5)),
    # Texts where a number, a date or a yes/no belongs; all of them can be read.
    Defect("invoice", "Panel Qty", 0.004, _as_text),
    Defect("invoice", "Performance Tier Month", 0.004, _as_text),
    Defect("payment", "Amount", 0.004, _as_text),
    Defect("invoice", "Invoice Date", 0.003, _as_day),
    Defect("payment", "Payment Date", 0.003, _as_epoch_text),
    Defect("seda_registration", "Drawing (SYSTEM) Submitted", 0.02, _YES_NO),
    Defect("invoice", "Need Approval", 0.01, _YES_NO),
    Defect("invoice_item", "is a Package?", 0.002, _YES_NO),
    # Options that the target's declaration does not list.
    Defect("invoice", "Approval Status", 0.003, _any_of("Escalated (beta)")),
    Defect("payment", "Payment Method V2", 0.004, _any_of("E-WALLET")),
    Defect("seda_registration", "Reg Status", 0.003, _any_of("Awaiting TNB ⚡")),
    # Links to things that were deleted, and lists that hold a thing twice.
    Defect("agent", "Linked User Login", 0.02, _dangling),
    Defect("customer_profile", "Linked Agent", 0.01, _dangling),
    Defect("customer_profile", "Created By", 0.01, _dangling),
    Defect("invoice", "Linked Customer", 0.01, _dangling),
    Defect("invoice", "Linked Agent", 0.01, _dangling),
    Defect("invoice", "Linked SEDA registration", 0.005, _dangling),
    Defect("payment", "Linked Invoice", 0.01, _dangling),
    Defect("invoice_item", "Linked Invoice", 0.01, _dangling),
    Defect("invoice", "Linked Payment", 0.02, _with_dangling),
    Defect("invoice", "Linked Payment", 0.02, _with_repeat),
    Defect("invoice", "Linked Invoice Item", 0.02, _with_dangling),
    Defect("invoice", "Linked Invoice Item", 0.02, _with_repeat),
    Defect("seda_registration", "Linked Invoice", 0.02, _with_dangling),
    Defect("seda_registration", "Linked Invoice", 0.02, _with_repeat),
)

_UNCONVERTIBLE = (
    ("invoice_item", "QTY", "abc"),
    ("payment", "Amount", "n/a"),
    ("seda_registration", "TNB Meter Install Date", "to be confirmed"),
)


def plant_defects(builder: CompanyBuilder, *, excluded: frozenset[str]) -> None:
    """Put each defect into its share of the records, at least one; skip the excluded records."""
    rng = seeded_random(builder.seed, "dirt")
    for rule in DEFECTS:
        filled = [
            record
            for record in builder.records[rule.type]
            if rule.field in record and record["_id"] not in excluded
        ]
        for record in rng.sample(filled, min(max(round(len(filled) * rule.share), 1), len(filled))):
            record[rule.field] = rule.corruption(rng, record[rule.field], record)


def plant_unconvertible(
    builder: CompanyBuilder, *, excluded: frozenset[str]
) -> tuple[UnconvertibleRecord, ...]:
    """Make three records that cannot be converted."""
    rng = seeded_random(builder.seed, "beyond use")
    planted: list[UnconvertibleRecord] = []
    for kind, field, value in _UNCONVERTIBLE:
        record = rng.choice([r for r in builder.records[kind] if r["_id"] not in excluded])
        record[field] = value
        planted.append(UnconvertibleRecord(kind, record["_id"], field))
    return tuple(planted)
