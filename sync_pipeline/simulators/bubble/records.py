"""Generates the invented company's records and the links between them, without its data defects.

Types and values come from `catalogue`, defects from `data_defects`. A record is what the Data API
returns: display names, empty fields left out, links as ids.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sync_pipeline.simulators.bubble import catalogue, value_generators
from sync_pipeline.simulators.bubble.catalogue.types import ThingType
from sync_pipeline.simulators.bubble.dates import (
    DAY_MS,
    FIRST_DAY,
    REFERENCE_NOW,
    iso,
    milliseconds,
)
from sync_pipeline.simulators.seeded_random import seeded_random

Record = dict[str, Any]

APP = "suria-contoh"
ADMIN = f"admin_user_{APP}_live"

_START_MS = milliseconds(FIRST_DAY)
_NOW_MS = milliseconds(REFERENCE_NOW)
# Two imports made things in bulk, and a workflow once changed a list of things: one instant each.
_IMPORTS_MS = (_START_MS + 151 * DAY_MS + 7_203_123, _START_MS + 800 * DAY_MS + 10_805_456)
_BULK_CHANGE_MS = _NOW_MS - 40 * DAY_MS + 3_661_789


@dataclass(slots=True)
class CompanyBuilder:
    """The company under construction: records by type name, each list in the order of creation."""

    seed: int
    scale: float
    records: dict[str, list[Record]] = field(default_factory=dict)
    creators: list[str] = field(default_factory=list)

    def of(self, kind: ThingType) -> list[Record]:
        """The records of one type."""
        return self.records[kind.name]

    def count(self, kind: ThingType) -> int:
        """How many records of a type a company of this size has."""
        return max(round(kind.count * self.scale), 3)

    def make(self, kind: ThingType, creation_times: list[int]) -> list[Record]:
        """Make records of a type, created at these instants, without their links."""
        rng = seeded_random(self.seed, kind.name)
        made = [(f.display, f.fill, f.make) for f in kind.fields if f.make is not None]
        self.records[kind.name] = records = []
        for created in creation_times:
            record: Record = {
                "_id": value_generators.uid(rng, created),
                "Created Date": iso(created),
                "Modified Date": iso(_modified(rng, created)),
                "Created By": self._creator(rng),
            }
            for name, fill, make in made:
                if rng.random() < fill:
                    record[name] = make(rng, created)
            records.append(record)
        return records

    def _creator(self, rng: Random) -> str:
        if not self.creators or rng.random() < 0.08:
            return ADMIN
        return self.creators[int(rng.random() * len(self.creators))]


def build_records(seed: int, scale: float) -> CompanyBuilder:
    """All records of a company of this size, without SEDA registrations and data defects."""
    builder = CompanyBuilder(seed, scale)
    _add_people(builder, seeded_random(seed, "people"))
    _add_customers(builder, seeded_random(seed, "customers"))
    _add_invoices(builder, seeded_random(seed, "invoices"))
    _add_items(builder, seeded_random(seed, "items"))
    _add_payments(builder, seeded_random(seed, "payments"))
    return builder


def created_ms(record: Record) -> int:
    """When a record was created, from its id."""
    return int(record["_id"].split("x", 1)[0])


def creation_times(rng: Random, count: int) -> list[int]:
    """Instants of creation, more of them the later; one in eight in one of two bulk imports."""
    bulk = count // 16
    span = _NOW_MS - DAY_MS - _START_MS
    single = [_START_MS + int(rng.random() ** 0.6 * span) for _ in range(count - 2 * bulk)]
    return sorted([*single, *(moment for moment in _IMPORTS_MS for _ in range(bulk))])


def _modified(rng: Random, created: int) -> int:
    draw = rng.random()
    if draw < 0.25:
        return created + (draw < 0.1)
    if draw < 0.33 and created < _BULK_CHANGE_MS:
        return _BULK_CHANGE_MS
    changed = created + int(rng.expovariate(1 / 60) * DAY_MS)
    return max(created, min(changed, _NOW_MS - int(rng.random() * DAY_MS)))


def _add_people(builder: CompanyBuilder, rng: Random) -> None:
    agents = builder.make(catalogue.AGENT, creation_times(rng, builder.count(catalogue.AGENT)))
    logins = builder.count(catalogue.USER)
    users = builder.make(catalogue.USER, [created_ms(agent) + 60_000 for agent in agents[:logins]])
    builder.creators = [user["_id"] for user in users]
    for number, (agent, user) in enumerate(zip(agents, users, strict=False)):
        if rng.random() < 0.94:
            address = {"email": f"login.{number}@example.com", "email_confirmed": number % 7 > 0}
            user["authentication"] = {"email": address}
        if rng.random() < 0.92:
            agent["Linked User Login"] = user["_id"]
            user["Linked Agent Profile"] = agent["_id"]


def _add_customers(builder: CompanyBuilder, rng: Random) -> None:
    agents = builder.of(catalogue.AGENT)
    customers = builder.make(
        catalogue.CUSTOMER, creation_times(rng, builder.count(catalogue.CUSTOMER))
    )
    for customer in customers:
        draw = rng.random()
        if draw < 0.70:
            customer["Contact"] = value_generators.phone(rng, 0)
        if draw < 0.45 or draw >= 0.80:
            customer["Whatsapp"] = value_generators.phone(rng, 0)
        if rng.random() < 0.8:
            customer["Linked Agent"] = rng.choice(agents)["_id"]


def _add_invoices(builder: CompanyBuilder, rng: Random) -> None:
    agents, customers = builder.of(catalogue.AGENT), builder.of(catalogue.CUSTOMER)
    known_since = [created_ms(customer) for customer in customers]
    invoices = builder.make(
        catalogue.INVOICE, creation_times(rng, builder.count(catalogue.INVOICE))
    )
    for number, invoice in enumerate(invoices, 1_000_001):
        invoice["Invoice ID"] = number
        known = max(bisect_right(known_since, created_ms(invoice)), 1)
        customer = customers[int(rng.random() * known)]
        if rng.random() < 0.95:
            invoice["Linked Customer"] = customer["_id"]
        if rng.random() < 0.98:
            invoice["Linked Agent"] = _agent_link(rng, agents, customer)


def _agent_link(rng: Random, agents: list[Record], customer: Record) -> str:
    agent = rng.choice(agents)
    # One form of the app stores the login of the agent where the others store the agent.
    if rng.random() < 0.05 and "Linked User Login" in agent:
        return agent["Linked User Login"]
    return customer.get("Linked Agent", agent["_id"])


def _add_items(builder: CompanyBuilder, rng: Random) -> None:
    invoices = builder.of(catalogue.INVOICE)
    count = builder.count(catalogue.INVOICE_ITEM)
    owners = sorted(int(rng.random() * len(invoices)) for _ in range(count))
    # All items of an invoice are made by one workflow, at one instant.
    items = builder.make(
        catalogue.INVOICE_ITEM,
        [created_ms(invoices[owner]) + 250 for owner in owners],
    )
    for item, owner in zip(items, owners, strict=True):
        invoice = invoices[owner]
        if rng.random() < 0.9:
            item["Linked Invoice"] = invoice["_id"]
        if rng.random() < 0.97:
            invoice.setdefault("Linked Invoice Item", []).append(item["_id"])


def _add_payments(builder: CompanyBuilder, rng: Random) -> None:
    invoices = builder.of(catalogue.INVOICE)
    for kind in (catalogue.PAYMENT, catalogue.SUBMIT_PAYMENT):
        count = kind.count if kind is catalogue.SUBMIT_PAYMENT else builder.count(kind)
        owners = [rng.choice(invoices) for _ in range(count)]
        delays = [int(rng.random() * 90 * DAY_MS) for _ in owners]
        instants = [
            min(created_ms(owner) + delay, _NOW_MS - DAY_MS // 2)
            for owner, delay in zip(owners, delays, strict=True)
        ]
        for payment, invoice in zip(builder.make(kind, instants), owners, strict=True):
            _link_payment(rng, payment, invoice)
    for payment in builder.of(catalogue.PAYMENT):
        if rng.random() < 0.4:
            payment["Verified By"] = rng.choice(builder.creators)


def _link_payment(rng: Random, payment: Record, invoice: Record) -> None:
    invoice.setdefault("Linked Payment", []).append(payment["_id"])
    if rng.random() < 0.7:
        payment["Linked Invoice"] = invoice["_id"]
    if rng.random() < 0.65 and "Linked Customer" in invoice:
        payment["Linked Customer"] = invoice["Linked Customer"]
    if rng.random() < 0.9 and "Linked Agent" in invoice:
        payment["Linked Agent"] = invoice["Linked Agent"]
