"""README, CONTRIBUTING and docs/: commands, links and Python are valid; tables equal what the code has."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from sync_pipeline.cli.commands import cli
from sync_pipeline.definitions import defs
from sync_pipeline.inspectdb import inspect
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.system import System
from sync_pipeline.orchestration.system_definitions import SystemDefinitions
from sync_pipeline.postgres.connect import connect
from sync_pipeline.settings import PROJECT
from sync_pipeline.systems import definitions, registry
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline_tests.docs.documents import (
    anchors,
    blocks,
    command_lines,
    documents,
    inline_commands,
    links,
    markdown_table,
    prose,
)
from sync_pipeline_tests.fixtures.command_line import Invoke

PROGRAM = "sync-pipeline"
BIN = Path(sys.executable).parent
SHELL = {"export", "mkdir", "touch", "RENEW_SNAPSHOTS=1"}
"""What lines of commands may begin with beside programs of `.venv/bin` and make."""
DAGSTER = {"dagster", "dagster-daemon", "dagster-webserver", "dg", "alembic"}
EVERY = pytest.mark.parametrize(
    "document", documents(), ids=lambda path: str(path.relative_to(PROJECT))
)


PLACEHOLDERS = {"RUN": "95241c4d", "shop": "desktop"}
"""Words that stand for what only the reader has, and for the system that `add-a-system.md` adds."""
SAFE = {"migrate", "doctor", "history", "conflicts", "rejected", "parked", "purge", "request"}
"""Commands that can be run on an empty target, unless they name what is not there."""
NOT_THERE = {"RUN", "latest", "-", "--take", "--restore", "--reverse"}


def parse(words: list[str]) -> click.Context:
    """Parse a command of ours as the program does, without running it."""
    name, *rest = (PLACEHOLDERS.get(word, word) for word in words[1:])
    return cli.commands[name].make_context(name, rest)


@EVERY
def test_every_command_of_ours_in_a_block_can_be_typed(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "body.json").write_text("{}")  # which an example reads
    for words in command_lines(document):
        if words[0] == PROGRAM:
            with parse(words):
                pass


@EVERY
def test_every_command_of_ours_in_the_prose_names_a_command_and_its_options(document: Path) -> None:
    for words in inline_commands(document, PROGRAM):
        command = cli.commands[words[1]] if len(words) > 1 else cli
        known = {name for parameter in command.params for name in parameter.opts}
        options = {word for word in words[2:] if word.startswith("--")}
        assert options <= known | {"--help"}, words


@EVERY
def test_every_other_line_of_a_block_begins_with_a_program_that_is_there(document: Path) -> None:
    for words in command_lines(document):
        program = words[0]
        if program == "export":
            name, _, _ = words[1].partition("=")
            assert name in {v.name for _, v in registry.variables()} | {"SHOP_DSN"}, words
        elif program.startswith(".venv/bin/"):
            assert (BIN / Path(program).name).exists(), words
        elif program not in SHELL | {"make"}:
            assert program in DAGSTER | {PROGRAM}, words
            assert (BIN / program).exists(), words


@EVERY
def test_every_target_of_make_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    lines = [w for w in command_lines(document) if w[0] == "make"]
    for words in [*lines, *inline_commands(document, "make")]:
        assert words[1] in targets, words


def test_contributing_lists_every_target_of_make() -> None:
    text = (PROJECT / "CONTRIBUTING.md").read_text()
    targets = re.findall(r"^([a-z-]+):.*##", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert [t for t in targets if t != "help" and f"`make {t}`" not in text] == []


@EVERY
def test_every_link_leads_somewhere(document: Path) -> None:
    for link in links(document):
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_document_is_in_the_index() -> None:
    index = PROJECT / "docs" / "README.md"
    listed = {(index.parent / link).resolve() for link in links(index)}
    assert set(documents()) - listed == {index, PROJECT / "README.md"}


@EVERY
def test_files_and_folders_that_are_named_exist(document: Path) -> None:
    places = re.findall(
        r"`((?:sync_pipeline|sync_pipeline_tests|migrations)/[\w/.]*)`", prose(document)
    )
    invented = {p for p in places if p.startswith("sync_pipeline/systems/shop/")}
    assert [p for p in set(places) - invented if not (PROJECT / p).exists()] == []


def test_contributing_maps_every_folder_of_the_package() -> None:
    package = PROJECT / "sync_pipeline"
    text = (PROJECT / "CONTRIBUTING.md").read_text()
    mapped = set(re.findall(r"^\| `([a-z_/]+)/`", text, re.MULTILINE))
    folders = {
        str(found.relative_to(package))
        for found in [*package.glob("*/"), *package.glob("*/*/")]
        if found.name != "__pycache__"
    }
    # `systems/`, `simulators/` and `dev/` stand for the folders in them.
    assert mapped <= folders
    alike = ("systems/", "simulators/", "dev/")
    assert {f for f in folders - mapped if not f.startswith(alike)} == {"sources"}


def test_the_readme_is_short_and_begins_with_the_two_commands() -> None:
    readme = (PROJECT / "README.md").read_text()
    assert len(readme.split()) <= 700
    first_screen = "\n".join(readme.splitlines()[:25])
    assert "make demo" in first_screen
    assert "make test" in first_screen


def test_the_table_of_variables_is_what_the_systems_declare() -> None:
    assert markdown_table() in (PROJECT / "docs" / "operations.md").read_text()


def test_operations_names_every_schedule_and_sensor() -> None:
    text = (PROJECT / "docs" / "operations.md").read_text()
    names = {each.name for each in [*(defs.schedules or ()), *(defs.sensors or ())]}
    assert len(names) > 15
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_the_bubble_levels_are_those_of_the_links() -> None:
    assert _levels("bubble") == BUBBLE.levels


def test_the_desktop_levels_are_those_of_the_links() -> None:
    assert _levels("desktop") == registry.DESKTOP.levels


def _levels(system: str) -> dict[str, int]:
    """Levels of the entities in the first table of a system's page."""
    text = (PROJECT / "docs" / "systems" / f"{system}.md").read_text()
    entities = {e.name for s in registry.SYSTEMS if s.name == system for e in s.entities}
    rows = re.findall(r"^\| (\d) \| (.*) \|$", text, re.MULTILINE)
    return {
        n: int(level)
        for level, names in rows
        for n in re.findall(r"`(\w+)`", names)
        if n in entities
    }


# -- Python


def test_the_example_of_a_table_is_an_entity_of_the_system() -> None:
    [example] = [b for b in blocks(PROJECT / "docs" / "add-a-table.md") if b.language == "python"]
    names: dict[str, object] = {}
    exec(example.text, names)
    entity = names["INVOICE_NOTE"]
    assert isinstance(entity, Entity)
    extended = System("bubble", (*BUBBLE.entities, entity), patches=BUBBLE.patches)
    assert extended.levels["invoice_note"] == 1


def test_the_example_of_a_system_can_be_pasted(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = PROJECT / "docs" / "add-a-system.md"
    settings, entities, runs, registered, defined = [
        b.text for b in blocks(page) if b.language == "python"
    ]
    with connect(database) as connection:
        connection.execute("create table customer (id int primary key)")
        connection.execute(
            'create table "order" (id int primary key, customer int references customer)'
        )
        declared = inspect(connection, schema="public", system="shop").source
    assert '\nSHOP = System("shop", (CUSTOMER, ORDER))\n' in declared

    def paste(module: str, text: str) -> ModuleType:
        made = ModuleType(f"sync_pipeline.systems.shop.{module}")
        monkeypatch.setitem(sys.modules, made.__name__, made)
        exec(text, vars(made))
        return made

    monkeypatch.setitem(sys.modules, "sync_pipeline.systems.shop", ModuleType("shop"))
    paste("settings", settings)
    shop = paste("entities", declared.rpartition("SHOP = ")[0] + entities)
    paste("definitions", runs)
    systems = _pasted_into(registry, registered)["SYSTEMS"]
    every = _pasted_into(definitions, defined)["ALL"]

    assert systems[-2:] == (registry.SYSTEMS[-1], vars(shop)["SHOP"])
    assert every[-2] is definitions.ALL[-1]
    assert isinstance(every[-1], SystemDefinitions)
    assert {job.name for job in every[-1].jobs} == {"shop_sync", "shop_full", "shop_partial"}


def _pasted_into(module: ModuleType, text: str) -> dict[str, Any]:
    """The names of a module after some lines were pasted at its end."""
    names = dict(vars(module))
    exec(text, names)
    return names


@EVERY
def test_dotted_names_of_modules_can_be_imported(document: Path) -> None:
    for name in re.findall(r"`(sync_pipeline(?:\.\w+)+)`", prose(document)):
        if name != "sync_pipeline.systems.shop":
            importlib.import_module(name)


# -- Commands that are run


def test_every_command_that_is_named_has_help(invoke: Invoke) -> None:
    lines = [w for d in documents() for w in [*command_lines(d), *inline_commands(d, PROGRAM)]]
    named = {w[1] for w in lines if w[0] == PROGRAM and len(w) > 1 and not w[1].startswith("-")}
    assert named <= set(cli.commands)
    for name in named:
        assert "Examples" in invoke(name, "--help").out


def test_the_commands_that_need_no_data_run_on_an_empty_target(
    invoke: Invoke, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNC_TARGET_DSN", database)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "body.json").write_text("{}")
    lines = {tuple(w[1:]) for d in documents() for w in command_lines(d) if w[0] == PROGRAM}
    safe = {line for line in lines if line[0] in SAFE and not NOT_THERE & set(line)}
    assert {("doctor",), ("history",), ("doctor", "--fix", "--dry-run")} <= safe
    invoke("migrate")
    for line in sorted(safe - {("migrate",)}):
        invoke(*line)


@pytest.mark.parametrize("program", ["ruff", "basedpyright", "lint-imports"])
def test_the_hooks_run_locked_tools(program: str) -> None:
    hooks = (PROJECT / ".pre-commit-config.yaml").read_text()
    assert f"entry: .venv/bin/{program}" in hooks
    assert (BIN / program).exists()
