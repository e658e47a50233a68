"""Every environment variable: its default, its spelling, and the error when it cannot be used."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from sync_pipeline.errors import SettingsError
from sync_pipeline.settings import PROJECT, SANDBOXED, Settings
from sync_pipeline.systems.bubble import settings as bubble
from sync_pipeline.systems.desktop.connection import check_reverse
from sync_pipeline.systems.desktop.definitions import FORWARD, REVERSE
from sync_pipeline.systems.desktop.resource import DesktopDatabase
from sync_pipeline.systems.registry import SYSTEMS, variables
from sync_pipeline_tests.docs.documents import markdown_table

BUBBLE = {"BUBBLE_API_URL": "https://app.test/version-live/api/1.1", "BUBBLE_API_TOKEN": "t"}
QU = {
    "QU_API_URL": "https://pos.test",
    "QU_CLIENT_ID": "signage",
    "QU_CLIENT_SECRET": "hidden",
}


def check(environment: dict[str, str]) -> None:
    settings = Settings.read(environment)
    for system in SYSTEMS:
        system.source.check(settings)


def test_an_empty_environment_is_complete() -> None:
    settings = Settings.read({})
    assert settings.home == PROJECT / ".sync"
    assert settings.target_dsn is settings.dagster_dsn is settings.text(bubble.URL) is None
    assert settings.number(bubble.REQUESTS_PER_MINUTE) == 900
    assert settings.overlap == timedelta(minutes=5)
    assert settings.outage == settings.source_outage == timedelta(minutes=2)
    assert settings.retention == timedelta(days=90)


def test_blank_variables_count_as_unset() -> None:
    blank = {"SYNC_HOME": "", "SYNC_TARGET_DSN": " ", "BUBBLE_API_URL": "", "SYNC_OVERLAP": ""}
    assert Settings.read(blank) == Settings.read({})


def test_values_are_taken_as_written() -> None:
    given = BUBBLE | {
        "SYNC_HOME": "/var/lib/a home",
        "SYNC_TARGET_DSN": " postgresql://u:p@h/db ",
        "SYNC_OVERLAP": "60",
        "SYNC_OUTAGE": "5",
        "SYNC_SOURCE_OUTAGE": "7",
        "SYNC_RETENTION_DAYS": "3",
        "BUBBLE_REQUESTS_PER_MINUTE": "120",
    }
    settings = Settings.read(given)
    assert settings.home == Path("/var/lib/a home")
    assert settings.target() == "postgresql://u:p@h/db"
    assert settings.overlap == timedelta(seconds=60)
    assert settings.outage == timedelta(seconds=5)
    assert settings.source_outage == timedelta(seconds=7)
    assert settings.retention == timedelta(days=3)
    assert settings.number(bubble.REQUESTS_PER_MINUTE) == 120
    assert settings.text(bubble.URL) == BUBBLE["BUBBLE_API_URL"]


def test_a_relative_home_does_not_move_with_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.read({"SYNC_HOME": "here"}).home == tmp_path / "here"


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "a lot", "²"])
def test_a_number_that_is_none_names_its_variable(value: str) -> None:
    with pytest.raises(SettingsError, match=f"SYNC_OVERLAP must be .*{re.escape(value)}"):
        Settings.read({"SYNC_OVERLAP": value})


@pytest.mark.parametrize("missing", sorted(BUBBLE))
def test_half_a_source_is_refused_by_the_name_of_the_other_half(missing: str) -> None:
    half = {name: value for name, value in BUBBLE.items() if name != missing}
    with pytest.raises(SettingsError, match=f"^{missing} is not set; .* go together"):
        check(half)


def test_a_url_without_a_scheme_is_refused_with_an_example() -> None:
    with pytest.raises(SettingsError, match=r"BUBBLE_API_URL is not a URL; .*https://app"):
        check(BUBBLE | {"BUBBLE_API_URL": "app.test/api/1.1"})


@pytest.mark.parametrize("missing", QU)
def test_the_credentials_of_a_gateway_go_together(missing: str) -> None:
    with pytest.raises(SettingsError, match=f"{missing} is not set; QU_API_URL, QU_CLIENT_ID"):
        check({name: value for name, value in QU.items() if name != missing})


def test_a_token_without_the_api_that_it_opens_is_refused() -> None:
    with pytest.raises(SettingsError, match="META_GRAPH_URL is not set, but META_ACCESS_TOKEN is"):
        check({"META_ACCESS_TOKEN": "x"})


def test_a_target_that_nobody_named_says_what_to_set() -> None:
    with pytest.raises(SettingsError, match="SYNC_TARGET_DSN is not set"):
        Settings.read({}).target()


DESKTOP = {"DESKTOP_DSN": "postgresql://u:hidden@h/desktop"}


def test_a_source_that_could_be_simulated_knows_the_variable_that_would_name_it() -> None:
    nothing = Settings.read({})
    assert {s.name: s.source.missing(nothing) for s in SYSTEMS} == {
        "bubble": "BUBBLE_API_URL",
        "desktop": "DESKTOP_DSN",
        "integrations": "QU_API_URL",
        "meta_assets": "META_GRAPH_URL",
    }
    named = Settings.read(BUBBLE | DESKTOP | QU | {"META_GRAPH_URL": "https://graph.test/v23.0"})
    assert {s.source.missing(named) for s in SYSTEMS} == {None}


def test_what_a_sandbox_holds_is_not_written_into_a_desktop_that_somebody_named() -> None:
    sandbox = {SANDBOXED: "target bubble"}
    with pytest.raises(SettingsError, match=r"SYNC_TARGET_DSN is not set, .* set SYNC_TARGET_DSN"):
        check_reverse(Settings.read(DESKTOP | sandbox))
    check_reverse(Settings.read(DESKTOP | {SANDBOXED: "target desktop"}))
    check_reverse(Settings.read(DESKTOP | {"SYNC_TARGET_DSN": "postgresql://u@h/mobile"}))


def test_neither_a_run_nor_a_schedule_gets_around_that(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (DESKTOP | {SANDBOXED: "target"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="is not written into the database that DESKTOP_DSN"):
        DesktopDatabase().connect()
    assert not DesktopDatabase().has_bookkeeping()
    assert "is not written into" in (REVERSE.unready() or "")
    assert FORWARD.unready() is None  # the way forward is open


def test_no_setting_shows_a_secret() -> None:
    secrets = {
        "BUBBLE_API_TOKEN": "hidden",
        "SYNC_TARGET_DSN": "postgresql://u:hidden@h/d",
        "META_GRAPH_URL": "https://graph.test/v23.0",
        "META_ACCESS_TOKEN": "hidden",
    }
    given = BUBBLE | DESKTOP | QU | secrets
    assert "hidden" not in repr(Settings.read(given))


def test_the_documents_explain_every_variable() -> None:
    names = {variable.name for _, variable in variables()}
    assert len(names) > 15
    documents = [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")]
    explained = "".join(document.read_text() for document in documents)
    assert {name for name in names if f"`{name}`" not in explained} == set()


def test_the_table_of_variables_has_a_row_for_each_and_marks_secrets() -> None:
    rows = markdown_table().splitlines()[2:]
    assert len(rows) == len(list(variables()))
    [token] = [row for row in rows if "`META_ACCESS_TOKEN`" in row]
    assert token.startswith("| `META_ACCESS_TOKEN` | `meta_assets` | a system user's token")
    assert "(optional, secret)" in token


def test_a_database_is_never_synced_with_itself() -> None:
    same = {"SYNC_TARGET_DSN": "postgresql://u@h/d", "DESKTOP_DSN": "postgresql://u@h/d"}
    with pytest.raises(SettingsError, match="DESKTOP_DSN and SYNC_TARGET_DSN name the same"):
        check(same)
