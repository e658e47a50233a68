"""Runs of the patches on a small app, and what they left in the target."""

from typing import Any

import dagster as dg

from sync_pipeline_tests.fixtures.bubble_system import (
    INVOICE,
    PATCHES,
    SEDA,
    BubbleSystem,
    Run,
)

LINKS, CUSTOMERS = PATCHES


LINK, BACK = "Linked SEDA registration", "Linked Invoice"


ENDS = ("invoice", "seda_registration")


def patch(bubble_system: BubbleSystem, *, everything: bool = True) -> Run:
    """Both patches alone, over everything unless only a run's own rows are wanted."""
    ops = {f"bubble__{name}": {"config": {"everything": everything}} for name in PATCHES}
    keys = [dg.AssetKey(["bubble", name]) for name in PATCHES]
    return bubble_system.launch("bubble_sync", {"ops": ops}, keys)


def sync(bubble_system: BubbleSystem, job: str = "bubble_sync", **scope: Any) -> Run:
    """Sync both ends, and patch what that touched."""
    return bubble_system.run(job, *ENDS, *PATCHES, **scope)


def found(run: Run, name: str) -> dict[str, int]:
    """The counts of a patch that are not zero."""
    facts = run.report.patches[name]
    return {k: n for k, n in facts.items() if n and k != "reports"}


def reports(run: Run, name: str) -> list[str]:
    return run.report.patches[name]["reports"]


def link_of(bubble_system: BubbleSystem, invoice: str = INVOICE) -> str | None:
    return bubble_system.here("invoice", invoice)["linked_seda_registration"]


def customer_of(bubble_system: BubbleSystem, seda: str = SEDA) -> str | None:
    return bubble_system.here("seda_registration", seda)["linked_customer"]


def link_conflicts(bubble_system: BubbleSystem) -> list[dict[str, Any]]:
    return bubble_system.rows(
        "select key, field, local, source, kept, resolved_at from sync.conflict"
        " where kind = 'patch' order by id"
    )


def conflicting_registration(bubble_system: BubbleSystem, **fields: Any) -> str:
    """A second registration that names the invoice, later than the first."""
    other = bubble_system.create_there("seda_registration", **({BACK: [INVOICE]} | fields))
    assert bubble_system.run("bubble_sync", "seda_registration").success
    return other
