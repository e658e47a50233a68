"""Reaching PostgreSQL: `connect` opens sessions, `embedded` runs a server where none is given.

Import the submodules; nothing happens at package import.
"""
