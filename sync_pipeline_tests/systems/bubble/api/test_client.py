"""The client as a whole: single records, searches, refusals, counts and discretion."""

import logging
from datetime import UTC, datetime

import pytest

from sync_pipeline.errors import SettingsError, SourceRefused, SyncError
from sync_pipeline.simulators.bubble.company import Company
from sync_pipeline.simulators.bubble.simulator import BubbleSimulator
from sync_pipeline.simulators.faults import Fault
from sync_pipeline.systems.bubble.api.client import BubbleClient
from sync_pipeline.systems.bubble.api.pages import Constraint
from sync_pipeline_tests.systems.bubble.simulated_apps import client_of, ids_of


class TestGet:
    def test_a_record_comes_as_the_source_has_it(
        self, bubble: BubbleSimulator, company: Company
    ) -> None:
        uid = company.of("Customer_Profile")[0]["_id"]
        with client_of(bubble) as client:
            record = client.get("Customer_Profile", uid)
            assert record is not None
            assert record["_id"] == uid
            assert client.search("Customer_Profile", [Constraint("_id", "equals", uid)]) == [record]

    def test_a_record_that_is_not_there_is_none(self, bubble: BubbleSimulator) -> None:
        with client_of(bubble) as client:
            assert client.get("invoice", "1700000000000x1") is None
            assert client.traffic.calls == 1

    def test_a_type_that_is_not_there_is_refused(self, bubble: BubbleSimulator) -> None:
        bubble.options.disabled_types = ("invoice",)
        with client_of(bubble) as client, pytest.raises(SourceRefused, match="Data API"):
            client.get("invoice", "1700000000000x1")

    def test_it_sees_a_write_before_a_search_does(
        self, bubble: BubbleSimulator, company: Company
    ) -> None:
        bubble.options.index_lag_ms = 60_000
        uid = company.of("invoice")[0]["_id"]
        since = datetime.now(UTC)
        bubble.store.patch("invoice", uid, {"Remark": "just written"})
        with client_of(bubble) as client:
            record = client.get("invoice", uid)
            assert record is not None
            assert record["Remark"] == "just written"
            assert list(client.scan("invoice", modified_since=since)) == []


def test_a_search_gives_all_pages_of_what_meets_every_constraint(
    bubble: BubbleSimulator, company: Company
) -> None:
    linked = [r for r in company.of("invoice_item") if "Linked Invoice" in r]
    with client_of(bubble) as client:
        found = client.search("invoice_item", [Constraint("Linked Invoice", "is_not_empty")])
        assert sorted(r["_id"] for r in found) == sorted(r["_id"] for r in linked)


def test_meta_lists_the_fields_of_each_type(bubble: BubbleSimulator) -> None:
    with client_of(bubble) as client:
        types = client.meta()
        assert "invoice_item" in types
        assert {"id", "display", "type"} <= types["invoice_item"]["fields"][0].keys()


class TestRefusal:
    def test_a_type_that_is_not_enabled_fails_at_once_and_says_what_to_check(
        self, bubble: BubbleSimulator
    ) -> None:
        with client_of(bubble) as client, pytest.raises(SourceRefused) as failure:
            list(client.scan("invioce"))
        assert bubble.stats.total == 1
        for clue in (
            "/version-live/api/1.1/obj/invioce",
            "404",
            "Type not found invioce",
            "Settings → API → Data API",
            "BUBBLE_API_URL",
            "spelling",
        ):
            assert clue in str(failure.value)

    def test_a_wrong_token_fails_at_once_and_names_the_variable(
        self, bubble: BubbleSimulator
    ) -> None:
        with client_of(bubble, token="wrong") as client, pytest.raises(SourceRefused) as failure:
            list(client.scan("invoice"))
        assert bubble.stats.total == 1
        assert "BUBBLE_API_TOKEN" in str(failure.value)
        assert "401" in str(failure.value)

    @pytest.mark.parametrize(
        "url", ["", "app.example.com/api/1.1", "ftp://app.example.com", "http://"]
    )
    def test_a_url_that_is_none_is_a_matter_of_settings(self, url: str) -> None:
        with pytest.raises(SettingsError, match="BUBBLE_API_URL"):
            BubbleClient(url, "token")

    @pytest.mark.parametrize("token", ["", "two words", "line\n", "tökén"])
    def test_a_token_that_no_header_can_hold_is_a_matter_of_settings(self, token: str) -> None:
        with pytest.raises(SettingsError, match="BUBBLE_API_TOKEN") as failure:
            BubbleClient("http://localhost", token)
        assert not token or token not in str(failure.value)


class TestCounts:
    def test_calls_and_bytes_are_those_that_the_server_counts(
        self, bubble: BubbleSimulator
    ) -> None:
        bubble.faults.add(Fault(kind="status", status=503, nth=3, times=2))
        with client_of(bubble) as client:
            ids = ids_of(client.scan("invoice_item"))
            client.lookup("invoice_item", ids[:30])
            client.get("invoice_item", ids[0])
            client.meta()
            assert client.traffic.calls == bubble.stats.total
            assert client.traffic.bytes == bubble.stats.bytes
            assert client.traffic.retries == 2
            assert 0 < client.traffic.waited < 1

    def test_a_client_that_is_not_open_asks_nothing(self, bubble: BubbleSimulator) -> None:
        client = client_of(bubble)
        with pytest.raises(RuntimeError, match="with statement"):
            client.get("invoice", "1x1")
        with pytest.raises(RuntimeError, match="with statement"):
            next(client.scan("invoice"))
        client.close()

    def test_a_client_can_be_closed_twice(self, bubble: BubbleSimulator) -> None:
        with client_of(bubble) as client:
            client.meta()
            client.close()
        client.close()


def test_the_token_stands_in_no_message_and_in_no_log(
    bubble: BubbleSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bubble.faults.add(
        Fault(kind="status", status=503, times=1), Fault(kind="reset", nth=2, times=1)
    )
    secret = "not-for-anybodys-eyes"
    with client_of(bubble, token=secret) as client:
        with pytest.raises(SyncError) as failure:
            list(client.scan("invoice"))
        assert secret not in repr(client)
    assert len([r for r in caplog.records if r.name.startswith("sync_pipeline")]) == 2
    assert secret not in caplog.text
    assert secret not in f"{failure.value!r} {failure.value.__cause__!r}"
