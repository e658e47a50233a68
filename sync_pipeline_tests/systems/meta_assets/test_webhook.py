"""Webhooks about numbers request a resync; nothing of their own content is written."""

from typing import Any

import pytest

from sync_pipeline.merge.bookkeeping import requests
from sync_pipeline.simulators.meta_assets.credentials import PHONES, TOKENS
from sync_pipeline.simulators.meta_assets.simulator import MetaSimulator
from sync_pipeline.systems.meta_assets.resource import MetaSource
from sync_pipeline.systems.meta_assets.webhook import queue_webhook
from sync_pipeline_tests.fixtures.meta_assets import NORTH, Messenger, workspace


def webhook(field: str, waba: str = NORTH, **value: Any) -> dict[str, Any]:
    change = {"field": field, "value": value}
    entry = {"id": waba, "time": 1_763_700_000, "changes": [change]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def test_a_quality_event_requests_its_number_and_leaves_the_others_and_the_rating_alone(
    messenger: Messenger, meta: MetaSimulator, meta_source: MetaSource
) -> None:
    phone, other = PHONES[NORTH]
    messenger.connect_account("north", NORTH, TOKENS[NORTH])
    meta.accounts.change(phone, display_phone_number="+44 7700 900-123", quality_rating="GREEN")
    messenger.merge(messenger.read(meta_source))
    meta.accounts.rename(phone, "Moonlight Tours")
    meta.accounts.rename(other, "Not Asked For")
    meta.accounts.rate(phone, None)
    event = webhook(
        "phone_number_quality_update", display_phone_number="447700900123", event="FLAGGED"
    )
    keys = queue_webhook(messenger.connection, event)
    assert keys == [f"{workspace('north')}:{phone}"]
    (request,) = requests.waiting(messenger.connection, 10)
    assert request.keys == keys
    messenger.merge(messenger.read(meta_source, *request.keys))
    named = {row["phone_number_id"]: row["verified_name"] for row in messenger.cached("north")}
    assert named[phone] == "Moonlight Tours"
    assert named[other] != "Not Asked For"
    assert messenger.cached("north")[0]["quality_rating"] == "GREEN"


def test_a_number_that_is_not_cached_requests_each_workspace_of_its_account(
    messenger: Messenger,
) -> None:
    for name in ("agency", "owner"):
        messenger.connect_account(name, NORTH)
    event = webhook("phone_number_name_update", display_phone_number="15550100")
    assert queue_webhook(messenger.connection, event) == sorted(map(workspace, ("agency", "owner")))


@pytest.mark.parametrize(
    "payload",
    [
        webhook("messages", metadata={"phone_number_id": PHONES[NORTH][0]}),
        webhook("phone_number_quality_update", "999", display_phone_number="15550100"),
        {"entry": [None, {"id": NORTH, "changes": "text"}]},
        {},
    ],
)
def test_other_webhooks_request_nothing(messenger: Messenger, payload: dict[str, Any]) -> None:
    messenger.connect_account("north", NORTH)
    assert queue_webhook(messenger.connection, payload) == []
    assert requests.waiting(messenger.connection, 10) == []
