"""The work measured against Postgres's own floor: `make bench`, `python -m sync_pipeline_tests.bench`.

`measure` says how, each side in a process of its own. Of the merge alone, `workload` says what is measured
on, `floor` and `ours` are the two sides, `peer` is dlt where it is installed, `report` prints. Of the desktop
system `desktop` and the modules named after it do the same, over the simulated practice.
"""
