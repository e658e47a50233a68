"""Connecting to PostgreSQL, and the embedded server."""
