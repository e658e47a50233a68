"""Fixtures by concern; each module says what it offers."""

from __future__ import annotations

pytest_plugins = [
    "sync_pipeline_tests.fixtures.postgres",
    "sync_pipeline_tests.fixtures.merging",
    "sync_pipeline_tests.fixtures.bubble",
    "sync_pipeline_tests.fixtures.bubble_system",
    "sync_pipeline_tests.fixtures.command_line",
    "sync_pipeline_tests.fixtures.desktop",
]
