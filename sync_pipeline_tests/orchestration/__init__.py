"""The Dagster shell, run for real: definitions, IO manager, checks, schedules and sensors."""
