"""Packages: an invoice and its related records, fetched by lists of ids.

One call requests dozens of records, so a hundred invoices cost a few dozen calls. Related records are found
from both sides, by the ids that the invoice lists and by records that link to it, because the app often
fills only one of the two. A relation that cannot be fetched is recorded as a problem and skipped.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sync_pipeline.errors import SyncError
from sync_pipeline.systems.bubble.api.client import BubbleClient
from sync_pipeline.systems.bubble.api.pages import Constraint, Record
from sync_pipeline.systems.bubble.entities import ADMIN

log = logging.getLogger(__name__)

MAX_SINGLE_SEARCHES = 12
"""Up to this many invoices are all searched for SEDAs one by one; of more, at most half."""

MAX_CALLS_OF_ONE_PACKAGE = 12


@dataclass(frozen=True)
class TargetLinks:
    """Links that the target holds from earlier runs, so that they need not be searched for.

    Attributes:
        sedas: SEDA ids by the invoice that they link to.
        agents: agent ids by login, because some links hold the login instead of the agent.
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

    def add(self, entity: str, records: Iterable[Record]) -> None:
        """Add records by id; the last of an id is kept."""
        self.records.setdefault(entity, {}).update((r["_id"], r) for r in records)

    def add_problem(self, entity: str, problem: str) -> None:
        """Record what could not be fetched."""
        log.warning("%s: %s", entity, problem)
        self.problems.setdefault(entity, []).append(problem)


def ids(record: Record, name: str) -> list[str]:
    """The ids of records in a link or list field."""
    value = record.get(name)
    values = value if isinstance(value, list) else [value]
    return [v for v in values if isinstance(v, str) and v and not v.startswith(ADMIN)]


def fetch_packages(client: BubbleClient, invoices: list[Record], known: TargetLinks) -> Packages:
    """The packages of these raw invoice records."""
    return _Fetcher(client, invoices, known).fetch()


class _Fetcher:
    def __init__(self, client: BubbleClient, invoices: list[Record], known: TargetLinks) -> None:
        self._client = client
        self._known = known
        self._packages = Packages()
        self._packages.add("invoice", invoices)
        self._invoices = self._packages.records["invoice"]
        self._calls = 1  # for the invoices

    def fetch(self) -> Packages:
        self._fetch_children()
        self._fetch_sedas()
        self._fetch_parents()
        self._assign_members()
        return self._packages

    def _fetch(
        self, entity: str, type_name: str, values: Iterable[str], name: str = "_id"
    ) -> list[str]:
        """Fetch records by a field's values; returns the ids for which there is no record."""
        present = self._packages.records.get(entity, {})
        values = [v for v in dict.fromkeys(values) if name != "_id" or v not in present]
        if not values:
            return []
        self._calls += 1
        log.info("%s: requesting %s by %s", entity, f"{len(values):,}", name)
        try:
            found = self._client.lookup(type_name, values, field=name)
        except SyncError as error:
            self._packages.add_problem(entity, f"{type_name} by {name}: {error}")
            return []
        self._packages.add(entity, found.records)
        for value, reason in found.failed.items():
            self._packages.add_problem(entity, f"{type_name} with {name} {value}: {reason}")
        return found.missing

    def _linked(self, name: str) -> Iterator[str]:
        return (i for invoice in self._invoices.values() for i in ids(invoice, name))

    def _fetch_children(self) -> None:
        """Payments and items: first those that link to an invoice, then those that it lists."""
        for entity, type_name in (
            ("payment", "payment"),
            ("submitted_payment", "submit_payment"),
            ("invoice_item", "invoice_item"),
        ):
            self._fetch(entity, type_name, self._invoices, "Linked Invoice")
        self._fetch("invoice_item", "invoice_item", self._linked("Linked Invoice Item"))
        submitted = self._packages.records.get("submitted_payment", {})
        listed = [i for i in self._linked("Linked Payment") if i not in submitted]
        # An id listed as a payment may be that of a payment still to be verified.
        unverified = self._fetch("payment", "payment", listed)
        self._fetch("submitted_payment", "submit_payment", unverified)

    def _fetch_sedas(self) -> None:
        """SEDA registrations: by the invoice's link, by the target's links, by customer, then one by one.

        Only a search for one invoice finds a registration that nothing links to, or a second one of the same
        invoice. Bubble cannot search for a list of invoices, because the field is a list itself.
        """
        known = (seda for invoice in self._invoices for seda in self._known.sedas.get(invoice, []))
        linked = [*self._linked("Linked SEDA registration"), *known]
        self._fetch("seda_registration", "seda_registration", linked)
        searched = list(self._invoices)
        if len(searched) > MAX_SINGLE_SEARCHES:
            unfound = [i for i in searched if not self._seda_of(i)]
            customers = [c for i in unfound for c in ids(self._invoices[i], "Linked Customer")]
            self._fetch("seda_registration", "seda_registration", customers, "Linked Customer")
            unfound = [i for i in unfound if not self._seda_of(i)]
            searched = unfound[: len(searched) // 2]
            if len(unfound) > len(searched):
                log.info(
                    "%d invoices have no SEDA by id or customer and were not searched for one by one;"
                    " the hourly sync brings registrations that link to them",
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
        self._calls += 1
        try:
            found = self._client.search(
                "seda_registration", [Constraint("Linked Invoice", "contains", invoice)]
            )
        except SyncError as error:
            self._packages.add_problem(
                "seda_registration", f"registrations of invoice {invoice}: {error}"
            )
            return
        self._packages.add("seda_registration", found)

    def _fetch_parents(self) -> None:
        """Customers, users and agents of everything found so far."""
        everything = [r for records in self._packages.records.values() for r in records.values()]
        customers = [i for r in everything for i in ids(r, "Linked Customer")]
        self._fetch("customer", "Customer_Profile", customers)
        people = [*everything, *self._packages.records.get("customer", {}).values()]
        self._fetch("user", "user", (i for r in people for i in ids(r, "Created By")))
        people += self._packages.records.get("user", {}).values()
        names = ("Linked Agent", "Agent", "Linked Agent Profile")
        agents = [
            self._known.agents.get(i, i) for r in people for name in names for i in ids(r, name)
        ]
        logins = self._fetch("agent", "agent", agents)
        if len(self._invoices) > 1 or self._calls < MAX_CALLS_OF_ONE_PACKAGE:
            self._fetch("agent", "agent", logins, "Linked User Login")

    def _assign_members(self) -> None:
        """Assign to each invoice's package the records that it links to, and those that these link to."""
        by_id: dict[str, list[tuple[str, Record]]] = {}
        referrers: dict[str, list[str]] = {}
        for entity, records in self._packages.records.items():
            for uid, record in records.items():
                by_id.setdefault(uid, []).append((entity, record))
                for invoice in ids(record, "Linked Invoice"):
                    referrers.setdefault(invoice, []).append(uid)
        for invoice in self._invoices:
            reached = self._reach({invoice, *referrers.get(invoice, [])}, by_id)
            self._packages.members[invoice] = {
                (e, uid) for uid in reached for e, _ in by_id.get(uid, [])
            }

    def _reach(self, start: set[str], by_id: Mapping[str, list[tuple[str, Record]]]) -> set[str]:
        """Ids that can be reached by links, without those of other invoices' packages."""
        reached, new = set(start), set(start)
        while new:
            linked = {
                i for uid in new for _, r in by_id.get(uid, []) for name in r for i in ids(r, name)
            }
            new = {i for i in linked - reached if i in by_id and i not in self._invoices}
            reached |= new
        return reached
