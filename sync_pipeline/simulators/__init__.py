"""Servers that speak the sources' real protocols, for the demo and for the tests.

A simulator is a stand-in, so it knows the protocol and its own invented data and nothing of how
this project reads them: nothing here imports `sync_pipeline.systems`. What every simulator needs
(serving, faults, statistics, a clock) lives in this package; each protocol has a subpackage.
Import concrete submodules.
"""
