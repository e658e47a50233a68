"""Any Postgres database declared as entities."""
