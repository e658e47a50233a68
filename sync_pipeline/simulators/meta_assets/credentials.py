"""The WhatsApp Business accounts and tokens of the simulated customers."""

TOKENS: dict[str, str] = {
    "102290129340398": "EAAGdemoNorthToken7f1c",
    "104996122399160": "EAAGdemoSouthToken52ab",
    "109218845512207": "EAAGdemoHarbourToken90dd",
}
"""A token for each account; it may read this account only."""

SYSTEM_TOKEN = "EAAGdemoSystemUserTokenc3"  # noqa: S105  invented
"""May read all of them."""

PHONES: dict[str, tuple[str, ...]] = {
    "102290129340398": ("106540352242922", "106540352242923"),
    "104996122399160": ("110987654321098",),
    "109218845512207": tuple(str(118000000000000 + n) for n in range(60)),
}
"""Phone number ids of each account; the last one has more than two pages."""
