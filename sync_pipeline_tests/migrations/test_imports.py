"""Migrations import only names that are kept for them, so that no rename changes what they do."""

import ast
from pathlib import Path

import pytest

from sync_pipeline.settings import PROJECT

FILES = sorted((PROJECT / "migrations" / "versions").glob("*.py"))

KEPT = (
    "sync_pipeline.errors",
    "sync_pipeline.merge.schema.migrate",
    "sync_pipeline.doctor.repair",
    "sync_pipeline.postgres.catalog",
    "sync_pipeline.postgres.connect",
    "sync_pipeline.systems.integrations.keys",
)
"""Modules, and whole packages, that keep the names which migrations call."""


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_migration_imports_only_what_is_kept_for_it(file: Path) -> None:
    imports = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.ImportFrom)]
    ours = {str(n.module) for n in imports if str(n.module).startswith("sync_pipeline")}

    assert {m for m in ours if not any(m == k or m.startswith(f"{k}.") for k in KEPT)} == set()


def test_the_entities_are_created_through_one_kept_function() -> None:
    [file] = [f for f in FILES if f.stem.startswith("0002")]

    assert "from sync_pipeline.merge.schema.migrate import adopt_declared\n" in file.read_text()
