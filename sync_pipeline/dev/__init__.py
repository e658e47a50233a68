"""What stands in on a developer's machine: an embedded Postgres, simulated sources, Dagster's services."""
