"""The client and the establishments of the simulated gateway."""

CLIENT_ID = "signage-demo"
CLIENT_SECRET = "not-a-secret-of-anybody"  # noqa: S105  invented
BRAND = "382"
ESTABLISHMENTS = ("1001", "1002", "1003")
"""Sites of the brand; they serve mostly the same items under the same paths, at prices of their own."""
ORDER_CHANNEL = "2"
ORDER_TYPE = "1"
