"""Which rows the patches of a run look at, and how patches meet the source, undo and dry runs."""

from uuid import uuid4

from sync_pipeline.merge.review import undo
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline_tests.fixtures.bubble_system import (
    CUSTOMER,
    INVOICE,
    PATCHES,
    SEDA,
    BubbleSystem,
    uid,
)
from sync_pipeline_tests.systems.bubble.patch_runs import (
    BACK,
    CUSTOMERS,
    LINK,
    LINKS,
    conflicting_registration,
    customer_of,
    found,
    link_conflicts,
    link_of,
    patch,
    sync,
)

# -- both


def test_patching_again_writes_nothing(unlinked: BubbleSystem) -> None:
    patch(unlinked)
    before = unlinked.writes()

    again = patch(unlinked)

    assert found(again, LINKS) == {"candidates": 1, "same": 1}
    assert unlinked.writes() == before


def test_a_run_patches_the_rows_that_it_touched_and_no_others(unlinked: BubbleSystem) -> None:
    assert found(sync(unlinked), LINKS) == {}
    assert link_of(unlinked) is None

    unlinked.edit_there("invoice", INVOICE, visit=7)

    assert found(sync(unlinked), LINKS) == {"candidates": 1, "set": 1}
    assert link_of(unlinked) == SEDA


def test_a_registration_that_was_touched_patches_its_invoices_too(unlinked: BubbleSystem) -> None:
    unlinked.edit_there("seda_registration", SEDA, CITY="Kota Contoh")

    assert found(sync(unlinked), LINKS) == {"candidates": 1, "set": 1}


def test_a_full_sync_patches_everything(unlinked: BubbleSystem) -> None:
    run = sync(unlinked, "bubble_full")

    assert run.total("updated") == 0
    assert found(run, LINKS) == {"candidates": 1, "set": 1}


def test_patches_alone_look_at_everything_unless_told_otherwise(unlinked: BubbleSystem) -> None:
    run = unlinked.run("bubble_sync", *PATCHES)

    assert found(run, LINKS) == {"candidates": 1, "set": 1}


def test_patched_links_stay_through_everything_while_the_app_has_nothing_there(
    unlinked: BubbleSystem,
) -> None:
    patch(unlinked)
    unlinked.edit_there("invoice", INVOICE, visit=7)
    for job in ("bubble_sync", "bubble_full", "bubble_sync"):
        assert sync(unlinked, job).success
        assert link_of(unlinked) == SEDA
    assert unlinked.here("invoice", INVOICE)["visit"] == 7
    assert unlinked.rows("select from sync.conflict") == []


def test_the_app_that_fills_the_link_with_the_same_agrees_and_with_another_is_a_conflict(
    unlinked: BubbleSystem,
) -> None:
    patch(unlinked)
    unlinked.edit_there("invoice", INVOICE, **{LINK: SEDA})
    unlinked.run("bubble_sync", "invoice")
    assert unlinked.base("invoice", INVOICE)["linked_seda_registration"] == SEDA
    assert unlinked.rows("select from sync.conflict") == []

    other = conflicting_registration(unlinked, **{BACK: []})
    unlinked.edit_there("invoice", INVOICE, **{LINK: other})
    unlinked.run("bubble_sync", "invoice")

    assert link_of(unlinked) == other
    assert found(patch(unlinked), LINKS) == {"candidates": 1, "conflict": 1}


def test_the_app_that_fills_a_patched_link_with_another_is_a_conflict_with_both(
    unlinked: BubbleSystem,
) -> None:
    patch(unlinked)
    unlinked.edit_there("invoice", INVOICE, **{LINK: uid(90)})

    unlinked.run("bubble_sync", "invoice")

    conflict = unlinked.db.row("select * from sync.conflict")
    assert (conflict["kind"], conflict["local"], conflict["source"]) == ("field", SEDA, uid(90))
    assert link_of(unlinked) == uid(90)


def test_patches_are_undone_like_any_run_and_a_full_sync_patches_again(
    unlinked: BubbleSystem,
) -> None:
    unlinked.touch_there("seda_registration", SEDA, **{"Linked Customer": None})
    unlinked.run("bubble_full", "seda_registration")
    run = patch(unlinked)
    assert (link_of(unlinked), customer_of(unlinked)) == (SEDA, CUSTOMER)

    undone = undo.undo(unlinked.db.connection, BUBBLE, run.id, undo_id=uuid4())

    assert {name: u.restored for name, u in undone.items()} == {
        "invoice": 1,
        "seda_registration": 1,
    }
    assert (link_of(unlinked), customer_of(unlinked)) == (None, None)
    unlinked.clock.advance(hours=1)
    sync(unlinked)
    assert (link_of(unlinked), customer_of(unlinked)) == (None, None)
    sync(unlinked, "bubble_full")
    assert (link_of(unlinked), customer_of(unlinked)) == (SEDA, CUSTOMER)


def test_undoing_gives_an_empty_text_back_as_it_was(unlinked: BubbleSystem) -> None:
    unlinked.edit_here("invoice", INVOICE, linked_seda_registration="")
    run = patch(unlinked)

    undo.undo(unlinked.db.connection, BUBBLE, run.id, undo_id=uuid4())

    assert link_of(unlinked) == ""


def test_a_patch_of_a_dry_run_writes_nothing(unlinked: BubbleSystem) -> None:
    run = sync(unlinked, "bubble_full", mode="full", dry_run=True)

    assert run.success
    assert run.report.patches == {}
    assert link_of(unlinked) is None


# -- a whole company


def test_the_planted_cases_of_a_company_are_not_guessed_at(synced: BubbleSystem) -> None:
    """They were patched by the first full sync."""
    created = {r["_id"]: r["Created Date"] for r in synced.records("seda_registration")}
    for case in synced.bubble_company.planted_links.ambiguous:
        oldest = min(case.registrations, key=lambda uid: (created[uid], uid))
        held = case.linked_to or oldest
        [other] = set(case.registrations) - {held}
        assert link_of(synced, case.invoice) == held
        [conflict] = [c for c in link_conflicts(synced) if c["key"]["bubble_id"] == case.invoice]
        assert (conflict["local"], conflict["source"]) == (held, other)
    tied = synced.bubble_company.planted_links.tied
    taken = customer_of(synced, tied.registration)
    assert taken == dict(zip(tied.invoices, tied.customers, strict=True))[min(tied.invoices)]


def test_a_whole_company_is_patched_as_a_second_reading_of_the_rules_has_it(
    synced: BubbleSystem,
) -> None:
    synced.db.run(
        "update invoice t set linked_seda_registration = b.linked_seda_registration"
        " from sync_base.bubble__invoice b where b.bubble_id = t.bubble_id"
    )
    synced.db.run(
        "update seda_registration t set linked_customer = b.linked_customer"
        " from sync_base.bubble__seda_registration b where b.bubble_id = t.bubble_id"
    )
    columns = "bubble_id, created_date, linked_invoice, linked_customer, linked_seda_registration"
    invoices = {
        r["bubble_id"]: r
        for r in synced.rows(f"select {columns.replace('linked_invoice, ', '')} from invoice")
    }
    sedas = synced.rows(
        f"select {columns.replace(', linked_seda_registration', '')} from seda_registration"
        " order by created_date, bubble_id"
    )
    expected = dict.fromkeys(("candidates", "set", "same", "not_found", "conflict"), 0)
    for seda in sedas:
        for wanted in dict.fromkeys(seda["linked_invoice"] or ()):
            expected["candidates"] += 1
            invoice = invoices.get(wanted)
            if invoice is None:
                outcome = "not_found"
            elif not invoice["linked_seda_registration"]:
                outcome, invoice["linked_seda_registration"] = "set", seda["bubble_id"]
            elif invoice["linked_seda_registration"] == seda["bubble_id"]:
                outcome = "same"
            else:
                outcome = "conflict"
            expected[outcome] += 1
    oldest_first = sorted(invoices.values(), key=lambda r: (r["created_date"], r["bubble_id"]))
    customers = {s["bubble_id"]: s["linked_customer"] for s in sedas}
    given = 0
    for invoice in oldest_first:
        seda, customer = invoice["linked_seda_registration"], invoice["linked_customer"]
        if customer and seda in customers and not customers[seda]:
            customers[seda] = customer
            given += 1

    run = patch(synced)

    assert expected["set"] > 20
    assert expected["conflict"] >= 2
    assert expected["not_found"] >= 1
    assert found(run, LINKS) == {k: n for k, n in expected.items() if n}
    assert {i: link_of(synced, i) for i in invoices} == {
        i: r["linked_seda_registration"] for i, r in invoices.items()
    }
    assert given > 10
    assert found(run, CUSTOMERS)["set"] == given
    assert {s: customer_of(synced, s) for s in customers} == customers
    assert found(run, CUSTOMERS)["ties"] >= 1
