"""The merge measured against Postgres's own floor: `make bench`, `python -m sync_pipeline_tests.bench`.

`workload` says what is measured on, `measure` how, `floor` and `ours` are the two sides, each run in a
process of its own, `peer` is dlt where it is installed, `report` prints.
"""
