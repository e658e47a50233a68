"""The types of the invented app: each field by its display name, its kind, and what fills it.

Data only, one literal per type. Kinds are spelled as Bubble's `/meta` spells them. `fill` is the
share of records in which the field has a value; a field without a maker is a link, or is filled
by `records`, which has the records around it. Names are the app's own, with their inconsistent
case and punctuation; some of them are deliberately not declared by the sync.
"""

from sync_pipeline.simulators.bubble.catalogue.people import AGENT, CUSTOMER, USER
from sync_pipeline.simulators.bubble.catalogue.registrations import SEDA_REGISTRATION
from sync_pipeline.simulators.bubble.catalogue.sales import (
    INVOICE,
    INVOICE_ITEM,
    PAYMENT,
    SUBMIT_PAYMENT,
)

TYPES = (AGENT, CUSTOMER, USER, INVOICE, PAYMENT, SUBMIT_PAYMENT, INVOICE_ITEM, SEDA_REGISTRATION)
