"""Agents, their logins, and customers. Data only."""

from sync_pipeline.simulators.bubble import value_generators as a
from sync_pipeline.simulators.bubble.catalogue.types import FieldType, ThingType

AGENT = ThingType(
    "agent",
    161,
    (
        FieldType("Name", "text", 1, a.name),
        FieldType("Contact", "text", 0.93, a.phone),
        FieldType(
            "Agent Type", "option.agent_type", 0.9, a.pick("Internal", "Dealer", "Freelance")
        ),
        FieldType("Linked User Login", "user"),
        FieldType("Current Annual Sales", "number", 0.7, a.whole(0, 4_000_000)),
        FieldType("Annual Collection", "number", 0.6, a.whole(0, 3_000_000)),
        FieldType("Last Update Annual Sales", "date", 0.7, a.later(400)),
        FieldType("Slug", "text", 0.4, a.coded("agent-", 6)),
        FieldType("Commission", "number", 0.8, a.pick(3, 4, 5, 6)),
        FieldType("Intro Youtube", "text", 0.15, a.link("video.example.com/watch")),
        FieldType("TREE SEED", "text", 0.3, a.coded("SEED-", 4)),
        FieldType("Introducer", "text", 0.2, a.name),
        FieldType("Address", "text", 0.25, a.address),
    ),
)

CUSTOMER = ThingType(
    "Customer_Profile",
    4_494,
    (
        FieldType("Name", "text", 0.99, a.name),
        # Both, only one or none: 45, 25, 20 and 10 in a hundred.
        FieldType("Contact", "text"),
        FieldType("Whatsapp", "text"),
        FieldType("Address", "text", 0.8, a.address),
        FieldType("State", "option.state", 0.75, a.pick(*a.STATES)),
        FieldType("Linked Agent", "custom.agent"),
        FieldType("Status", "option.customer_status", 0.5, a.pick("Lead", "Active", "Closed")),
    ),
)

USER = ThingType(
    "user",
    142,
    (
        FieldType("authentication", "authentication"),
        FieldType("user_signed_up", "boolean", 0.97, a.flag(0.9)),
        FieldType(
            "Access Level",
            "list.option.access_level",
            0.85,
            a.several(3, a.pick("Sales", "Finance", "Admin", "Engineering", "HR")),
        ),
        FieldType("Dealership", "text", 0.3, a.pick("HQ", "North", "South", "East Coast")),
        FieldType("Linked Agent Profile", "custom.agent"),
        FieldType("Profile Picture", "image", 0.6, a.picture("profiles")),
        FieldType("agent_code", "text", 0.5, a.coded("AG", 4)),
        FieldType("check in report today", "text", 0.2, a.pick("done", "pending")),
        FieldType("Last Seen", "date", 0.4, a.later(300)),
    ),
)
