"""A PostgreSQL server of this project's own: its programs, data directory and operating-system user."""
