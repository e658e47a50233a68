"""The messaging product whose phone cache is synced, as it was before."""
