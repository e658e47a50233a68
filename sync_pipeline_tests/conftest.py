"""Fixtures by concern; each module says what it offers. And which tests share a worker."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

pytest_plugins = [
    "sync_pipeline_tests.fixtures.properties",
    "sync_pipeline_tests.fixtures.postgres",
    "sync_pipeline_tests.fixtures.sample_system",
    "sync_pipeline_tests.fixtures.bubble",
    "sync_pipeline_tests.fixtures.bubble_system",
    "sync_pipeline_tests.fixtures.command_line",
    "sync_pipeline_tests.fixtures.desktop",
    "sync_pipeline_tests.fixtures.desktop_system",
    "sync_pipeline_tests.fixtures.integrations",
    "sync_pipeline_tests.fixtures.integrations_system",
    "sync_pipeline_tests.fixtures.meta_assets",
]


LONGEST = ("test_environment.py", "test_dagster_services.py", "test_dagster_commands.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first, so that no worker is left with one of them at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


class ByFixtures(LoadScopeScheduling):
    """Tests one by one, but the modules that make something dear for all of their tests in one go.

    xdist's own groups do not reach pytest 9's items.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if _shares(self.config.rootpath / path) else nodeid


@cache
def _shares(path: Path) -> bool:
    text = path.read_text()
    return 'scope="module"' in text or "xdist_group" in text


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return ByFixtures(config, log)
