"""Packages: an invoice and everything that belongs to it, fetched by lists of ids.

One call asks for dozens of records, so a hundred invoices cost a few dozen calls. Related records are
found from both sides: by the ids that the invoice lists, and by records that point back at it, because
the app often fills only one of the two.

A relation that cannot be fetched is a problem of the package, noted and passed over; only the invoices
themselves are indispensable.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sync_pipeline.errors import SyncError
from sync_pipeline.systems.bubble.api.client import BubbleClient
from sync_pipeline.systems.bubble.api.pages import Constraint, Record
from sync_pipeline.systems.bubble.entities import ADMIN

log = logging.getLogger(__name__)

SINGLE_SEARCHES = 12
"""For each of up to this many invoices SEDAs are searched for one by one; of more, for half at the most."""

ONE_PACKAGE = 12
"""Calls that one invoice's package may cost."""


@dataclass(frozen=True)
class Known:
    """What earlier runs have brought to the target, so that it need not be searched for.

    Attributes:
        sedas: SEDA ids by the invoice that they name.
        agents: agent ids by the login that some links hold in place of the agent.
    """

    sedas: Mapping[str, list[str]] = field(default_factory=dict)
    agents: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Packages:
    """What belongs to some invoices.

    Attributes:
        records: by entity name.
        members: for each invoice the entity and id of everything in its package.
        problems: by entity name, what could not be fetched.
        failed: invoices that could not be fetched, with the reason.
    """

    records: dict[str, dict[str, Record]] = field(default_factory=dict)
    members: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, entity: str, records: Iterable[Record]) -> list[Record]:
        """Keep records by id; the last of an id stays."""
        found = list(records)
        self.records.setdefault(entity, {}).update((r["_id"], r) for r in found)
        return found

    def note(self, entity: str, problem: str) -> None:
        """Note what could not be fetched."""
        log.warning("%s: %s", entity, problem)
        self.problems.setdefault(entity, []).append(problem)


def ids(record: Record, name: str) -> list[str]:
    """The ids in a link or list field; what is no id of a record is left out."""
    value = record.get(name)
    values = value if isinstance(value, list) else [value]
    return [v for v in values if isinstance(v, str) and v and not v.startswith(ADMIN)]


def fetch(client: BubbleClient, invoices: list[Record], known: Known) -> Packages:
    """Everything that belongs to these invoices.

    Args:
        client: the Data API.
        invoices: raw invoice records.
        known: what the target already tells.
    """
    packages = Packages()
    packages.add("invoice", invoices)
    return _Fetcher(client, packages, known).fetch()


class _Fetcher:
    def __init__(self, client: BubbleClient, packages: Packages, known: Known) -> None:
        self._client = client
        self._packages = packages
        self._known = known
        self._asked = 1  # the invoice itself
        self._invoices = packages.records["invoice"]

    def fetch(self) -> Packages:
        self._children()
        self._sedas()
        self._parents()
        self._assign()
        return self._packages

    def _by_ids(
        self, entity: str, type_name: str, wanted: Iterable[str], name: str = "_id"
    ) -> list[str]:
        """Fetch records by a field's values; returns the ids that no record answered to."""
        have = self._packages.records.get(entity, {})
        asked = [value for value in dict.fromkeys(wanted) if name != "_id" or value not in have]
        if not asked:
            return []
        self._asked += 1
        log.info("%s: asking for %s by %s", entity, f"{len(asked):,}", name)
        try:
            found = self._client.lookup(type_name, asked, field=name)
        except SyncError as error:
            self._packages.note(entity, f"{type_name} by {name}: {error}")
            return []
        self._packages.add(entity, found.records)
        for value, reason in found.failed.items():
            self._packages.note(entity, f"{type_name} with {name} {value}: {reason}")
        return found.missing

    def _linked(self, name: str) -> Iterator[str]:
        return (i for invoice in self._invoices.values() for i in ids(invoice, name))

    def _children(self) -> None:
        """Payments and items: first those that point back, then those that are only listed."""
        for entity, type_name in (
            ("payment", "payment"),
            ("submitted_payment", "submit_payment"),
            ("invoice_item", "invoice_item"),
        ):
            self._by_ids(entity, type_name, self._invoices, "Linked Invoice")
        self._by_ids("invoice_item", "invoice_item", self._linked("Linked Invoice Item"))
        submitted = self._packages.records.get("submitted_payment", {})
        listed = [i for i in self._linked("Linked Payment") if i not in submitted]
        # An id listed as a payment may be a payment or one that still waits to be verified.
        unverified = self._by_ids("payment", "payment", listed)
        self._by_ids("submitted_payment", "submit_payment", unverified)

    def _sedas(self) -> None:
        """SEDA registrations: by the invoice's link, by what is known here, by customer, then one by one.

        Only asking for each invoice by itself finds what nothing else points at, or a second registration
        that names the same invoice; a list of invoices cannot be asked for, because the field is a list.
        """
        known = (seda for invoice in self._invoices for seda in self._known.sedas.get(invoice, []))
        wanted = [*self._linked("Linked SEDA registration"), *known]
        self._by_ids("seda_registration", "seda_registration", wanted)
        searched = list(self._invoices)
        if len(searched) > SINGLE_SEARCHES:
            unfound = [i for i in searched if not self._seda_of(i)]
            customers = [c for i in unfound for c in ids(self._invoices[i], "Linked Customer")]
            self._by_ids("seda_registration", "seda_registration", customers, "Linked Customer")
            unfound = [i for i in unfound if not self._seda_of(i)]
            searched = unfound[: len(searched) // 2]
            if len(unfound) > len(searched):
                log.info(
                    "%d invoices have no SEDA by id or customer and were not searched for one by one;"
                    " the hourly sync brings what points at them",
                    len(unfound) - len(searched),
                )
        for invoice in searched:
            self._search_seda(invoice)

    def _seda_of(self, invoice: str) -> list[str]:
        linked = set(ids(self._invoices[invoice], "Linked SEDA registration"))
        return [
            uid
            for uid, seda in self._packages.records.get("seda_registration", {}).items()
            if uid in linked or invoice in ids(seda, "Linked Invoice")
        ]

    def _search_seda(self, invoice: str) -> None:
        self._asked += 1
        try:
            found = self._client.search(
                "seda_registration", [Constraint("Linked Invoice", "contains", invoice)]
            )
        except SyncError as error:
            self._packages.note("seda_registration", f"registrations of invoice {invoice}: {error}")
            return
        self._packages.add("seda_registration", found)

    def _parents(self) -> None:
        """Customers, users and agents of everything found so far."""
        everything = [r for records in self._packages.records.values() for r in records.values()]
        customers = [i for r in everything for i in ids(r, "Linked Customer")]
        self._by_ids("customer", "Customer_Profile", customers)
        people = [*everything, *self._packages.records.get("customer", {}).values()]
        self._by_ids("user", "user", (i for r in people for i in ids(r, "Created By")))
        people += self._packages.records.get("user", {}).values()
        names = ("Linked Agent", "Agent", "Linked Agent Profile")
        agents = [
            self._known.agents.get(i, i) for r in people for name in names for i in ids(r, name)
        ]
        logins = self._by_ids("agent", "agent", agents)
        if len(self._invoices) > 1 or self._asked < ONE_PACKAGE:
            # Some links hold the agent's login in place of the agent.
            self._by_ids("agent", "agent", logins, "Linked User Login")

    def _assign(self) -> None:
        """Say which records belong to which invoice's package: what it links, and what those link."""
        by_id: dict[str, list[tuple[str, Record]]] = {}
        back: dict[str, list[str]] = {}
        for entity, records in self._packages.records.items():
            for uid, record in records.items():
                by_id.setdefault(uid, []).append((entity, record))
                for invoice in ids(record, "Linked Invoice"):
                    back.setdefault(invoice, []).append(uid)
        for invoice in self._invoices:
            reached = self._reach({invoice, *back.get(invoice, [])}, by_id)
            self._packages.members[invoice] = {
                (e, uid) for uid in reached for e, _ in by_id.get(uid, [])
            }

    def _reach(self, start: set[str], by_id: Mapping[str, list[tuple[str, Record]]]) -> set[str]:
        """Ids that can be reached by links, without walking into another invoice's package."""
        reached, new = set(start), set(start)
        while new:
            linked = {
                i for uid in new for _, r in by_id.get(uid, []) for name in r for i in ids(r, name)
            }
            new = {i for i in linked - reached if i in by_id and i not in self._invoices}
            reached |= new
        return reached
