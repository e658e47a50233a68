"""The Dagster layer: factories of assets, checks, jobs, schedules, sensors and resources; one module each.

No module names a particular system or composes SQL; that belongs in `systems` and `merge`.
"""
