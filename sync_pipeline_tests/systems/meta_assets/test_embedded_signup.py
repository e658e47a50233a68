"""An embedded sign-up, from the posted message to the synced row."""

from typing import Any

import pytest

from sync_pipeline.errors import ConversionError
from sync_pipeline.merge.bookkeeping import requests
from sync_pipeline.simulators.meta_assets.credentials import PHONES, TOKENS
from sync_pipeline.simulators.meta_assets.simulator import MetaSimulator
from sync_pipeline.systems.meta_assets.embedded_signup import queue_signup
from sync_pipeline.systems.meta_assets.resource import MetaSource
from sync_pipeline_tests.fixtures.meta_assets import NORTH, Messenger, workspace

NORTH_WORKSPACE = workspace("north")


def message(event: Any = "FINISH", **data: Any) -> dict[str, Any]:
    return {"type": "WA_EMBEDDED_SIGNUP", "event": event, "data": data}


def test_a_number_that_was_signed_up_is_synced_by_the_request_it_becomes(
    messenger: Messenger, meta: MetaSimulator, meta_source: MetaSource
) -> None:
    phone = "900719925474099301"
    meta.accounts.connect("900719925474099777", (phone,), "EAAGnewcomer")
    messenger.connect_account("north", "900719925474099777", "EAAGnewcomer")
    event = message(phone_number_id=phone, waba_id="900719925474099777", business_id="42")
    keys = queue_signup(messenger.connection, event, NORTH_WORKSPACE)
    (request,) = requests.waiting(messenger.connection, 10)
    assert (request.system, request.entity) == ("meta_assets", "meta_phone_number")
    assert request.keys == keys == [f"{NORTH_WORKSPACE}:{phone}"]
    messenger.merge(messenger.read(meta_source, *request.keys))
    (row,) = messenger.cached("north")
    assert (row["phone_number_id"], row["waba_id"]) == (phone, "900719925474099777")
    assert row["last_synced_at"] is not None


@pytest.mark.parametrize("kind", ["FINISH_ONLY_WABA", "FINISH"])
def test_without_a_number_all_of_the_workspace_is_requested(
    messenger: Messenger, kind: str
) -> None:
    messenger.connect_account("north", NORTH, TOKENS[NORTH])
    keys = queue_signup(messenger.connection, message(kind, waba_id=NORTH), NORTH_WORKSPACE)
    assert keys == [NORTH_WORKSPACE]


@pytest.mark.parametrize("kind", ["CANCEL", "ERROR"])
def test_a_sign_up_that_was_given_up_does_nothing(messenger: Messenger, kind: str) -> None:
    event = message(kind, current_step="PHONE_NUMBER_SETUP")
    assert queue_signup(messenger.connection, event, NORTH_WORKSPACE) == []
    assert requests.waiting(messenger.connection, 10) == []


MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({}, "type is None"),
    ({**message(waba_id=NORTH), "type": "OTHER"}, "type is 'OTHER'"),
    (message(None, waba_id=NORTH), "event None"),
    (message("STARTED", waba_id=NORTH), "event 'STARTED'"),
    ({**message(), "data": "text"}, "data is not an object"),
    (message(business_id="42"), "neither waba_id nor phone_number_id"),
    (message(waba_id=int(NORTH)), "not a text of digits"),
    (message(waba_id=NORTH, phone_number_id=f"{PHONES[NORTH][0]}/x"), "not a text of digits"),
]


def test_anything_else_is_refused_and_requests_nothing(messenger: Messenger) -> None:
    for event, problem in MALFORMED:
        with pytest.raises(ConversionError, match=problem):
            queue_signup(messenger.connection, event, NORTH_WORKSPACE)
    assert requests.waiting(messenger.connection, 10) == []
