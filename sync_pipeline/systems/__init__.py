"""The systems: each declares its entities as data and says how to talk to its source."""
