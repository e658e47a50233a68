"""The bookkeeping tables: schema `sync`, `_sync_metadata` and `sync_history`.

    runs         history rows and steps
    run_lock     liveness of runs
    watermarks   how far each source was read
    requests     queued run requests
    plans        plans of dry runs and of runs that the guard stopped
    listings     what waits for people, for the command line and the checks
    resolutions  what people decided of conflicts
    retention    removal of old rows

Statements on these tables stand here, except those that read or write them together with a run's
temporary tables or a synced table: the merge's before-images, conflicts, rejected and parked records
(`merge.apply`, `conflicts`, `missing`, `parking`, `partitions`, `patches`), and `merge.review`'s undo
and resolve.
"""
