"""Links between SEDA registrations and invoices, and the share of them that either side lacks.

A registration lists its invoices and names its customer; an invoice names its registration. In
the app most invoices lost their side and half of the registrations their customer; the patches after
a sync complete them. A few ambiguous cases, which a patch must not guess, are planted here.
"""

from dataclasses import dataclass
from itertools import pairwise
from random import Random

from sync_pipeline.simulators.bubble import catalogue
from sync_pipeline.simulators.bubble.records import CompanyBuilder, Record, creation_times
from sync_pipeline.simulators.seeded_random import seeded_random

LOST_SHARE = 0.613
CUSTOMER_SHARE = 0.51


@dataclass(frozen=True, slots=True)
class AmbiguousInvoice:
    """An invoice that two registrations list; `linked_to` is the one that the invoice names, if any."""

    invoice: str
    registrations: tuple[str, str]
    linked_to: str | None


@dataclass(frozen=True, slots=True)
class TiedRegistration:
    """A registration without customer whose invoices are equally old and name different ones."""

    registration: str
    invoices: tuple[str, str]
    customers: tuple[str, str]


@dataclass(frozen=True, slots=True)
class PlantedLinks:
    """The ambiguous links that were planted."""

    ambiguous: tuple[AmbiguousInvoice, ...]
    tied: TiedRegistration


def link_registrations(builder: CompanyBuilder) -> PlantedLinks:
    """Make the registrations and link them with invoices and customers."""
    rng = seeded_random(builder.seed, "registrations")
    tie = _equally_old(builder)
    free = [invoice for invoice in builder.of(catalogue.INVOICE) if invoice not in tie]
    rng.shuffle(free)
    registrations = builder.make(
        catalogue.SEDA_REGISTRATION, creation_times(rng, builder.count(catalogue.SEDA_REGISTRATION))
    )
    tied_one, *plain = rng.sample(registrations, len(registrations))
    _link_each(rng, plain[4:], free[2:])
    ambiguous = _plant_ambiguous(plain[:4], free[:2])
    return PlantedLinks(ambiguous=ambiguous, tied=_tie(builder, tied_one, tie))


def _link_each(rng: Random, registrations: list[Record], invoices: list[Record]) -> None:
    pairs: list[tuple[Record, Record]] = []
    for number, registration in enumerate(registrations):
        if rng.random() < 0.85 and "Linked Agent" in invoices[number]:
            registration["Agent"] = invoices[number]["Linked Agent"]
        if rng.random() < 0.06:
            continue
        linked = [invoices[number]]
        if rng.random() < 0.04 and len(registrations) + number < len(invoices):
            linked.append(invoices[len(registrations) + number])
        registration["Linked Invoice"] = [invoice["_id"] for invoice in linked]
        customer = linked[0].get("Linked Customer")
        # More than half of those that could name a customer, as some invoices have none.
        if rng.random() * 0.9 < CUSTOMER_SHARE and customer is not None:
            registration["Linked Customer"] = customer
        pairs.extend((invoice, registration) for invoice in linked)
    rng.shuffle(pairs)
    for invoice, registration in pairs[round(len(pairs) * LOST_SHARE) :]:
        invoice["Linked SEDA registration"] = registration["_id"]


def _plant_ambiguous(
    registrations: list[Record], invoices: list[Record]
) -> tuple[AmbiguousInvoice, ...]:
    ambiguous: list[AmbiguousInvoice] = []
    for number, invoice in enumerate(invoices):
        one, other = registrations[2 * number : 2 * number + 2]
        one["Linked Invoice"] = other["Linked Invoice"] = [invoice["_id"]]
        linked_to = one["_id"] if number == 0 else None
        if linked_to is not None:
            invoice["Linked SEDA registration"] = linked_to
        ambiguous.append(AmbiguousInvoice(invoice["_id"], (one["_id"], other["_id"]), linked_to))
    return tuple(ambiguous)


def _equally_old(builder: CompanyBuilder) -> tuple[Record, Record]:
    invoices = builder.of(catalogue.INVOICE)
    for one, other in pairwise(invoices):
        if one["Created Date"] == other["Created Date"]:
            return one, other
    raise ValueError(
        f"a company of scale {builder.scale} has no two invoices created at one instant"
    )


def _tie(
    builder: CompanyBuilder, registration: Record, invoices: tuple[Record, Record]
) -> TiedRegistration:
    one, other = invoices
    customers = builder.of(catalogue.CUSTOMER)
    first, last = customers[0]["_id"], customers[-1]["_id"]
    one["Linked Customer"], other["Linked Customer"] = first, last
    registration["Linked Invoice"] = [one["_id"], other["_id"]]
    return TiedRegistration(registration["_id"], (one["_id"], other["_id"]), (first, last))
