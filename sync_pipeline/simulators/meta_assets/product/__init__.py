"""The messaging product whose phone cache is synced, as its earlier releases left it."""
