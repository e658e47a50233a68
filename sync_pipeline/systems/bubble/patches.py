"""Repairs of the two links that the Bubble app leaves incomplete."""

from sync_pipeline.model.patch import BackLink, CopyThrough, Patch

INVOICE_SEDA_LINKS = BackLink(
    name="invoice_seda_links",
    entity="invoice",
    column="linked_seda_registration",
    other="seda_registration",
    back="linked_invoice",
    oldest="created_date",
    description="Restores an invoice's link to its SEDA registration from the registration's own list.",
)

SEDA_CUSTOMER_LINKS = CopyThrough(
    name="seda_customer_links",
    entity="seda_registration",
    column="linked_customer",
    other="invoice",
    through="linked_seda_registration",
    take="linked_customer",
    oldest="created_date",
    after=("invoice_seda_links",),
    description="Gives a SEDA registration without a customer the customer of its oldest invoice.",
)

PATCHES: tuple[Patch, ...] = (INVOICE_SEDA_LINKS, SEDA_CUSTOMER_LINKS)
