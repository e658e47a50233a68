"""Patience for tests: the rules of production in a hundredth of its time."""

from __future__ import annotations

from datetime import timedelta

from sync_pipeline.systems.retrying import Patience

QUICK = Patience(
    time_budget=timedelta(seconds=4),
    connect_timeout=timedelta(seconds=2),
    read_timeout=timedelta(seconds=0.5),
    first_wait=timedelta(milliseconds=10),
    longest_wait=timedelta(milliseconds=40),
)
