"""A simulated accountants' practice: the databases of its desktop program and of its mobile app.

Both are real Postgres databases with invented rows. `schema` has the tables as the two programs made
them, `desktop_rows` the rows of the desktop, `mobile_rows` those of the app, and `practice` fills databases
with them. Import concrete submodules.
"""
