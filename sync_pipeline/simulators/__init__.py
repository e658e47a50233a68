"""Servers with the sources' real protocols and invented data, for the demo and for the tests.

Nothing here imports `sync_pipeline.systems`: a simulator implements the protocol, not this project's
way to read it. What every simulator needs (server, faults, statistics, clock) is in this package; each
protocol has a subpackage.
Import concrete submodules.
"""
