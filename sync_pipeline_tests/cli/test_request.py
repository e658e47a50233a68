"""The `request` command: events of other programs become requests in `sync.request`."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from sync_pipeline.cli.commands import cli
from sync_pipeline.merge.bookkeeping import requests
from sync_pipeline.simulators.meta_assets.credentials import PHONES
from sync_pipeline_tests.fixtures import fork_server
from sync_pipeline_tests.fixtures.command_line import Command, Invoke
from sync_pipeline_tests.fixtures.meta_assets import NORTH, Messenger, workspace

SIGNUP = {
    "type": "WA_EMBEDDED_SIGNUP",
    "event": "FINISH",
    "data": {"waba_id": NORTH, "phone_number_id": PHONES[NORTH][0]},
}


def written(folder: Path, content: Any) -> str:
    path = folder / "event.json"
    path.write_bytes(orjson.dumps(content))
    return str(path)


@pytest.fixture
def run(messenger: Messenger, tmp_path: Path) -> Command:
    """The installed command on the messaging product's database, with one connected workspace."""
    messenger.connect_account("north", NORTH)
    environment = {"SYNC_TARGET_DSN": messenger.dsn}
    return Command(tmp_path / "home", environment, program=fork_server.program())


def test_a_webhook_queues_the_workspaces_that_it_is_about(
    run: Command, messenger: Messenger, tmp_path: Path
) -> None:
    change = {"field": "phone_number_quality_update", "value": {"display_phone_number": "1555"}}
    body = written(tmp_path, {"entry": [{"id": NORTH, "changes": [change]}]})

    report = run("request", "whatsapp-webhook", body, "--json").json

    assert report == {"status": "completed", "keys": [workspace("north")]}
    [request] = requests.waiting(messenger.connection, 10)
    assert (request.system, request.entity) == ("meta_assets", "meta_phone_number")
    assert request.keys == report["keys"]


def test_a_sign_up_queues_its_number(run: Command, messenger: Messenger, tmp_path: Path) -> None:
    owner = workspace("north")
    message = written(tmp_path, SIGNUP)

    finished = run("request", "embedded-signup", message, "--for", owner)

    key = f"{owner}:{PHONES[NORTH][0]}"
    assert key in finished.out
    assert [r.keys for r in requests.waiting(messenger.connection, 10)] == [[key]]


def test_an_event_about_nothing_that_is_synced_queues_nothing(
    run: Command, messenger: Messenger, tmp_path: Path
) -> None:
    assert "Nothing to sync" in run("request", "whatsapp-webhook", written(tmp_path, {})).out
    assert requests.waiting(messenger.connection, 10) == []


def test_the_event_may_come_on_stdin(messenger: Messenger) -> None:
    arguments = ["request", "embedded-signup", "-", "--for", workspace("north")]
    result = CliRunner().invoke(cli, arguments, input=orjson.dumps(SIGNUP), standalone_mode=False)
    assert result.return_value == 0
    assert len(requests.waiting(messenger.connection, 10)) == 1


def test_what_is_not_such_an_event_is_one_line(run: Command, tmp_path: Path) -> None:
    owner = workspace("north")
    message = written(tmp_path, {"type": "OTHER"})
    finished = run("request", "embedded-signup", message, "--for", owner, code=1)
    assert "type is 'OTHER'" in finished.error
    finished = run("request", "embedded-signup", message, "--for", "north", code=1)
    assert "'north' is not the id of a workspace" in finished.error
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    assert "is not JSON" in run("request", "whatsapp-webhook", str(broken), code=1).error
    broken.write_text("[]")
    assert "not a JSON object" in run("request", "whatsapp-webhook", str(broken), code=1).error


def test_usage_and_help(invoke: Invoke, tmp_path: Path) -> None:
    event = written(tmp_path, {})
    assert "needs --for WORKSPACE" in invoke("request", "embedded-signup", event, code=2).err
    unneeded = invoke("request", "whatsapp-webhook", event, "--for", "x", code=2)
    assert "takes no --for" in unneeded.err
    assert "is not one of" in invoke("request", "fax", event, code=2).err
    assert "No such file" in invoke("request", "whatsapp-webhook", f"{event}x", code=2).err
    shown = " ".join(invoke("request", "--help").out.split())
    assert "embedded-signup: the message that the popup of an embedded sign-up posts (with" in shown
    assert "sync-pipeline request whatsapp-webhook body.json" in shown
