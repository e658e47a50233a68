"""The sandbox of a developer's machine: an embedded Postgres, simulated sources, Dagster's services."""
