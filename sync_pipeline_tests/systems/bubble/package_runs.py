"""Runs that sync packages of invoices."""

from typing import Any

from sync_pipeline_tests.fixtures.bubble_system import (
    PATCHES,
    BubbleSystem,
    Run,
)

OUTCOME = (*PATCHES, "package_outcome")
"""The outcome is summed up after the patches, which come after every table."""


def resync(bubble_system: BubbleSystem, *ids: str, only: tuple[str, ...] = (), **scope: Any) -> Run:
    """Resync packages; `only` some of the assets, where a test asks for no more."""
    return bubble_system.run(
        "invoice_resync", *only, mode="keys", of="invoice", ids=list(ids), **scope
    )


def belonging(bubble_system: BubbleSystem, entity: str, invoices: set[str]) -> set[str]:
    """Ids of an entity's records that some invoice links, or that point back at it."""
    own = [r for r in bubble_system.records("invoice") if r["_id"] in invoices]
    names = {
        "customer": "Linked Customer",
        "payment": "Linked Payment",
        "submitted_payment": "Linked Payment",
        "invoice_item": "Linked Invoice Item",
        "seda_registration": "Linked SEDA registration",
    }
    linked = {i for r in own for i in as_list(r.get(names.get(entity, "")))}
    return {
        r["_id"]
        for r in bubble_system.records(entity)
        if r["_id"] in linked | invoices or invoices & set(as_list(r.get("Linked Invoice")))
    }


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
