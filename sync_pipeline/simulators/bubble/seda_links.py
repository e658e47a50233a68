"""Which SEDA registration belongs to which invoice, and how much of that either side has lost.

A registration lists its invoices and names its customer; an invoice names its registration. In
the app most invoices lost their side and half of the registrations their customer, which is what
the repairs after a sync are for. A few cases that a repair must not guess at are planted here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from random import Random

from sync_pipeline.simulators.bubble import catalogue
from sync_pipeline.simulators.bubble.records import Record, World, births
from sync_pipeline.simulators.seeded_random import dice

LOST_SHARE = 0.613
CUSTOMER_SHARE = 0.51


@dataclass(frozen=True, slots=True)
class Disputed:
    """An invoice that two registrations list; `held` is the one that the invoice names, if any."""

    invoice: str
    registrations: tuple[str, str]
    held: str | None


@dataclass(frozen=True, slots=True)
class Tied:
    """A registration without customer whose invoices are equally old and name different ones."""

    registration: str
    invoices: tuple[str, str]
    customers: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Claims:
    """What was planted."""

    disputed: tuple[Disputed, ...]
    tied: Tied


def claim(world: World) -> Claims:
    """Make the registrations and link them with invoices and customers."""
    rng = dice(world.seed, "registrations")
    tie = _equally_old(world)
    free = [invoice for invoice in world.of(catalogue.INVOICE) if invoice not in tie]
    rng.shuffle(free)
    registrations = world.make(
        catalogue.SEDA_REGISTRATION, births(rng, world.count(catalogue.SEDA_REGISTRATION))
    )
    tied_one, *plain = rng.sample(registrations, len(registrations))
    _claim_each(rng, plain[4:], free[2:])
    disputed = _dispute(plain[:4], free[:2])
    return Claims(disputed=disputed, tied=_tie(world, tied_one, tie))


def _claim_each(rng: Random, registrations: list[Record], invoices: list[Record]) -> None:
    pairs: list[tuple[Record, Record]] = []
    for number, registration in enumerate(registrations):
        if rng.random() < 0.85 and "Linked Agent" in invoices[number]:
            registration["Agent"] = invoices[number]["Linked Agent"]
        if rng.random() < 0.06:
            continue
        claimed = [invoices[number]]
        if rng.random() < 0.04 and len(registrations) + number < len(invoices):
            claimed.append(invoices[len(registrations) + number])
        registration["Linked Invoice"] = [invoice["_id"] for invoice in claimed]
        customer = claimed[0].get("Linked Customer")
        # More than half of those that could name a customer, as some invoices have none.
        if rng.random() * 0.9 < CUSTOMER_SHARE and customer is not None:
            registration["Linked Customer"] = customer
        pairs.extend((invoice, registration) for invoice in claimed)
    rng.shuffle(pairs)
    for invoice, registration in pairs[round(len(pairs) * LOST_SHARE) :]:
        invoice["Linked SEDA registration"] = registration["_id"]


def _dispute(rivals: list[Record], invoices: list[Record]) -> tuple[Disputed, ...]:
    disputed: list[Disputed] = []
    for number, invoice in enumerate(invoices):
        one, other = rivals[2 * number : 2 * number + 2]
        one["Linked Invoice"] = other["Linked Invoice"] = [invoice["_id"]]
        held = one["_id"] if number == 0 else None
        if held is not None:
            invoice["Linked SEDA registration"] = held
        disputed.append(Disputed(invoice["_id"], (one["_id"], other["_id"]), held))
    return tuple(disputed)


def _equally_old(world: World) -> tuple[Record, Record]:
    invoices = world.of(catalogue.INVOICE)
    for one, other in pairwise(invoices):
        if one["Created Date"] == other["Created Date"]:
            return one, other
    raise ValueError(f"a company of scale {world.scale} has no two invoices created at one instant")


def _tie(world: World, registration: Record, invoices: tuple[Record, Record]) -> Tied:
    one, other = invoices
    customers = world.of(catalogue.CUSTOMER)
    first, last = customers[0]["_id"], customers[-1]["_id"]
    one["Linked Customer"], other["Linked Customer"] = first, last
    registration["Linked Invoice"] = [one["_id"], other["_id"]]
    return Tied(registration["_id"], (one["_id"], other["_id"]), (first, last))
