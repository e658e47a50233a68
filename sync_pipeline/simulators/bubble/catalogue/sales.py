"""Invoices, what is on them, and what was paid. Data only."""

from __future__ import annotations

from sync_pipeline.simulators.bubble import value_generators as a
from sync_pipeline.simulators.bubble.catalogue.types import FieldType, ThingType

INVOICE = ThingType(
    "invoice",
    4_300,
    (
        FieldType("Invoice ID", "number"),
        FieldType("Invoice Number", "text", 0.35, a.coded("INV-", 6)),
        FieldType("Status", "text", 0.3, a.pick("draft", "DEPOSIT", "FULLY PAID", "deleted")),
        FieldType(
            "Type",
            "text",
            0.9,
            a.pick(
                "PV CUSTOMER",
                "PV CUSTOMER",
                " PV CUSTOMER",
                "  PV CUSTOMER",
                "BUSINESS",
                "ACTIVE",
                "DELETED @ PV CUSTOMER",
            ),
        ),
        FieldType("Amount", "number", 0.97, a.price(27_000)),
        FieldType("Total Amount", "number", 0.02, a.price(27_000)),
        FieldType("Percent of Total Amount", "number", 0.6, a.pick(1, 1, 1, 1, 1, 0.05, 0.65, 0.4)),
        FieldType("Stamp Cash Price", "number", 0.7, a.price(25_000)),
        FieldType("Amount Eligible for Comm", "number", 0.6, a.price(24_000)),
        FieldType("Eligible Amount Description", "text", 0.4, a.remark),
        FieldType("Normal Commission", "number", 0.55, a.price(1_200)),
        FieldType("Commission Paid?", "boolean", 0.7, a.flag(0.4)),
        FieldType("Performance Tier Month", "number", 0.4, a.whole(1, 12)),
        FieldType("Performance Tier Year", "number", 0.4, a.year),
        FieldType("1st Payment %", "number", 0.85, a.pick(5)),
        FieldType("1st Payment Date", "date", 0.75, a.day(20)),
        FieldType("2nd Payment %", "number", 0.8, a.pick(60, 65)),
        FieldType("Last Payment Date", "date", 0.5, a.day(90)),
        FieldType("Full Payment Date", "date", 0.4, a.day(120)),
        FieldType("Paid?", "boolean", 0.8, a.flag(0.45)),
        FieldType("Invoice Date", "date", 0.98, a.day(1)),
        FieldType("Need Approval", "boolean", 0.5, a.flag(0.2)),
        FieldType(
            "Approval Status",
            "option.approval_status",
            0.8,
            a.pick(
                "No Approval Needed",
                "No Approval Needed",
                "Pending Approval",
                "Approved",
                "Rejected",
            ),
        ),
        FieldType("Locked Package?", "boolean", 0.6, a.flag(0.7)),
        FieldType("Panel Qty", "number", 0.85, a.whole(8, 40)),
        FieldType("Panel Rating", "number", 0.7, a.pick(580, 600, 610, 615, 620)),
        FieldType("Version", "number", 0.5, a.whole(1, 6)),
        FieldType("visit", "number", 0.15, a.whole(1, 9)),
        FieldType("Dealercode", "text", 0.3, a.coded("D", 3)),
        FieldType("Logs", "text", 0.5, a.remark),
        FieldType(
            "Stock Status INV",
            "option.stock_status",
            0.8,
            a.pick("New | Pending", "New | Pending", "Reserved", "Delivered"),
        ),
        FieldType("Linked Customer", "custom.customer_profile"),
        FieldType("Linked Agent", "custom.agent"),
        FieldType("Linked Payment", "list.custom.payment"),
        FieldType("Linked Invoice Item", "list.custom.invoice_item"),
        FieldType("Linked SEDA registration", "custom.seda_registration"),
        FieldType("Linked Package", "custom.package", 0.85, a.thing),
        FieldType("Linked Agreement", "custom.agreement", 0.3, a.thing),
        FieldType(
            "Linked Stock Transaction", "list.custom.stock_transaction", 0.25, a.several(4, a.thing)
        ),
        FieldType("Case Status", "option.case_status", 0.35, a.pick("Open", "On Hold", "Done")),
        FieldType("Description", "text", 0.2, a.remark),
        FieldType("PACKAGE TYPE", "option.package_type", 0.4, a.pick("Residential", "Shoplot")),
        FieldType(
            "Lead Source", "option.lead_source", 0.3, a.pick("Referral", "Roadshow", "Online")
        ),
        FieldType("Customer Average TNB", "number", 0.4, a.decimal(150, 1_800)),
        FieldType("Estimated Saving", "number", 0.35, a.decimal(100, 1_500)),
        FieldType("Hide Payment Terms", "boolean", 0.2, a.flag(0.5)),
        FieldType("INSTALLATION STATUS", "option.installation", 0.3, a.pick("Booked", "Installed")),
        FieldType("Remark Financne", "text", 0.1, a.remark),
        FieldType("Stock Status??", "text", 0.05, a.pick("?", "check")),
        FieldType("Linked Roof Image", "list.image", 0.2, a.several(3, a.picture("roofs"))),
        FieldType("user manual PDF", "file", 0.1, a.picture("manuals", "pdf")),
    ),
)

PAYMENT = ThingType(
    "payment",
    2_578,
    (
        FieldType("Amount", "number", 0.99, a.price(9_000)),
        FieldType(
            "Payment Method",
            "option.payment_method",
            0.6,
            a.pick("CASH BANK IN", "CASH BANK IN", "CREDIT CARD LOCAL", "EPP"),
        ),
        FieldType(
            "Payment Method V2",
            "option.payment_method_v2",
            0.7,
            a.pick("CASH BANK IN", "CREDIT CARD LOCAL", "EPP", "ONLINE TRANSFER"),
        ),
        FieldType("Payment Date", "date", 0.98, a.day(2)),
        FieldType("Remark", "text", 0.45, a.remark),
        FieldType("Linked Agent", "custom.agent"),
        FieldType("Linked Invoice", "custom.invoice"),
        FieldType("Linked Customer", "custom.customer_profile"),
        FieldType("Attachment", "list.file", 0.75, a.several(3, a.picture("receipts"))),
        FieldType("Verified By", "user"),
        FieldType("Edit History", "text", 0.15, a.remark),
        FieldType(
            "Issuer Bank",
            "option.bank",
            0.4,
            a.pick("MBB", "PBB", "HLB", "CIMB", "AM Bank", "UOB", "OCBC"),
        ),
        FieldType("EPP Month", "number", 0.25, a.pick(12, 24, 36, 48)),
        FieldType("EPP Type", "custom.epp_type", 0.2, a.thing),
        FieldType("Terminal", "custom.terminal", 0.3, a.thing),
        FieldType("Bank Charges", "number", 0.25, a.pick(0, 1, 2, 3)),
        FieldType("Payment Index", "number", 0.3, a.whole(1, 3)),
    ),
)

SUBMIT_PAYMENT = ThingType(
    "submit_payment",
    3,
    (
        FieldType("Amount", "number", 1, a.price(9_000)),
        FieldType("PAYMENT DATE", "date", 1, a.day(2)),
        FieldType("Linked Agent", "custom.agent"),
        FieldType("Linked Invoice", "custom.invoice"),
        FieldType("Linked Customer", "custom.customer_profile"),
        FieldType("Linked Installment", "custom.installment", 1, a.thing),
        FieldType("Attachment", "list.file", 1, a.several(2, a.picture("receipts"))),
        FieldType("Issuer Bank", "option.bank", 0.9, a.pick("MBB", "CIMB", "UOB")),
        FieldType(
            "Payment Method V2", "option.payment_method_v2", 1, a.pick("EPP", "CASH BANK IN")
        ),
        FieldType("Terminal", "custom.terminal", 0.9, a.thing),
    ),
)

INVOICE_ITEM = ThingType(
    "invoice_item",
    17_668,
    (
        FieldType(
            "DESCRIPTION",
            "text",
            0.97,
            a.pick(
                "STRING SYSTEM 12 x 620W JINKO",
                "HYBRID SYSTEM 5kW",
                "Consumer unit",
                "Extra cabling",
                "Roof access\n- scaffold\n- 2 days",
                "折扣 DISCOUNT",
                'Bracket 2" x 4"',
                "EPP charges",
            ),
        ),
        FieldType("QTY", "number", 0.95, a.pick(1, 1, 1, 1, 2, 3, 12)),
        FieldType("UNIT PRICE", "number", 0.9, a.price(4_000)),
        FieldType("AMOUNT", "number", 0.95, a.price(5_500)),
        FieldType("is a Package?", "boolean", 0.6, a.flag(0.4)),
        FieldType(
            "Inv Item Type",
            "option.item_type",
            0.7,
            a.pick("Package", "Add-on", "Discount", "EPP", "Voucher"),
        ),
        FieldType("Linked Package", "custom.package", 0.3, a.thing),
        FieldType("Linked Invoice", "custom.invoice"),
        FieldType("EPP", "number", 0.1, a.pick(0, 3, 5)),
        FieldType("Sort", "number", 0.8, a.whole(1, 12)),
        FieldType("Linked Voucher", "custom.voucher", 0.08, a.thing),
        FieldType("Voucher Remark", "text", 0.07, a.remark),
    ),
)
