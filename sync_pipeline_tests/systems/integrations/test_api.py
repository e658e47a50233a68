"""The client of the point of sale against its simulator, over real HTTP."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync_pipeline.errors import SettingsError, SourceBroken, SourceRefused, SourceUnavailable
from sync_pipeline.simulators.faults import Fault
from sync_pipeline.simulators.integrations.credentials import ESTABLISHMENTS
from sync_pipeline.simulators.integrations.simulator import QuSimulator
from sync_pipeline.systems.integrations.api import QuClient
from sync_pipeline.systems.integrations.menu.formats import KINDS
from sync_pipeline.systems.integrations.menu.menu import Menu
from sync_pipeline.systems.integrations.menu.parser import NotAMenu
from sync_pipeline.systems.integrations.source_configs import SourceConfig, UnusableConfig
from sync_pipeline_tests.fixtures.fast_retries import QUICK
from sync_pipeline_tests.fixtures.integrations import client_of, config_of

BRIEF = replace(QUICK, time_budget=timedelta(seconds=0.3))


def fetched(client: QuClient, config: SourceConfig, previous: str | None = None) -> Menu:
    menu = client.menu(config, previous)
    assert menu is not None
    return menu


def by_path(menu: Menu) -> dict[str | None, Any]:
    return {
        record["mappingId"]: record["price"]
        for kind in KINDS
        for batch in menu.batches(kind)
        for record in batch
    }


class TestMenus:
    def test_every_establishment_has_its_own_prices_on_the_same_paths(self, qu_client: QuClient):
        menus = {}
        for name in ESTABLISHMENTS:
            with fetched(qu_client, config_of(name)) as menu:
                menus[name] = by_path(menu)
                assert menu.left_out == {"category": 12, "deleted": 3, "unknown_type": 1}
                assert menu.duplicates["products"] == 1
                assert menu.bytes > 10_000
        first, second, third = menus.values()
        assert first.keys() == second.keys() == third.keys() - {None}
        assert first != second
        assert None in third

    def test_both_shapes_and_both_orders_of_keys_give_the_same_records(
        self, qu: QuSimulator, qu_client: QuClient
    ):
        def products() -> dict[str, Any]:
            with fetched(qu_client, config_of("1001")) as menu:
                batches = list(menu.batches("products"))
            return {record["mappingId"]: record for batch in batches for record in batch}

        tree = products()
        qu.options.children_first = True
        assert products() == tree
        qu.options.shape = "flat"
        assert products() == tree

    @pytest.mark.parametrize("status", [200, 204])
    def test_an_unchanged_menu_is_none_until_it_changes(
        self, qu: QuSimulator, qu_client: QuClient, status: int
    ):
        qu.options.update({"unchanged_status": status})
        config = config_of("1002")
        with fetched(qu_client, config) as menu:
            generation = menu.generation
        assert qu_client.generation(config) == generation
        assert qu_client.menu(config, generation) is None
        assert qu_client.generation(config, generation) is None
        touched = qu.restaurants.touch("1002")
        assert qu_client.generation(config, generation) == touched
        with fetched(qu_client, config, generation) as menu:
            assert menu.generation == touched

    def test_a_source_that_always_sends_the_menu_is_still_seen_to_be_unchanged(
        self, qu: QuSimulator, qu_client: QuClient
    ):
        qu.options.ignores_previous = True
        generation = qu_client.generation(config_of())
        assert qu_client.generation(config_of(), generation) is None

    @pytest.mark.parametrize("ask", [QuClient.menu, QuClient.generation])
    def test_an_empty_answer_to_a_first_question_is_never_taken_for_an_empty_menu(
        self, qu: QuSimulator, qu_client: QuClient, ask: Callable[..., Any]
    ):
        qu.faults.add(Fault(kind="status", status=204, type="menus"))
        with pytest.raises(SourceBroken, match="empty response to a first request"):
            ask(qu_client, config_of())

    def test_a_moved_node_comes_on_its_new_path_only(self, qu: QuSimulator, qu_client: QuClient):
        source, target = qu.restaurants.paths("1001", 6)[:2]
        path = next(p for p in qu.restaurants.paths("1001", 1) if p.rpartition("-")[0] == source)
        with fetched(qu_client, config_of()) as menu:
            before = by_path(menu)
        moved = qu.restaurants.move("1001", path, target)
        qu.restaurants.reprice("1001", moved, "77.7")
        with fetched(qu_client, config_of()) as menu:
            after = by_path(menu)
        below = {p for p in before if p and f"{p}-".startswith(f"{path}-")}
        assert before.keys() - after.keys() == below
        assert after.keys() - before.keys() == {p.replace(path, moved, 1) for p in below}
        assert after[moved] == 77.7

    def test_a_request_has_the_parameters_of_the_configuration(
        self, qu: QuSimulator, qu_client: QuClient
    ):
        fetched(qu_client, config_of("1001")).close()
        fetched(qu_client, config_of("1001", order_channel=5, order_type="3")).close()
        asked = [answered.call.url for answered in qu.stats.recent if answered.call.type == "menus"]
        assert asked == [
            "/api/v4/menus?LocationId=1001&OrderChannelId=2&OrderTypeId=1",
            "/api/v4/menus?LocationId=1001&OrderChannelId=5&OrderTypeId=3",
        ]
        with pytest.raises(SourceRefused, match="company is not yours"):
            qu_client.menu(config_of("1001", brand="1"))


class TestConfigurations:
    @pytest.mark.parametrize("key", ["brand", "establishment"])
    @pytest.mark.parametrize("value", [None, "", " ", {}, "10\n01", "café"])
    def test_a_missing_or_unusable_parameter_is_named_with_its_configuration(
        self, qu: QuSimulator, qu_client: QuClient, key: str, value: Any
    ):
        config = config_of("1001", **{key: value})
        with pytest.raises(UnusableConfig, match=f"“Restaurant 1001”.*{config.config_id}.*“{key}”"):
            qu_client.menu(config)
        assert qu.stats.total == 0

    @pytest.mark.parametrize(
        ("given", "variable"),
        [
            ({"url": "gateway.example.com"}, "QU_API_URL"),
            ({"client_id": ""}, "QU_CLIENT_ID"),
            ({"client_secret": "shh shh"}, "QU_CLIENT_SECRET"),
            ({"integration": "a\nb"}, "QU_INTEGRATION"),
        ],
    )
    def test_invalid_settings_are_named_and_not_quoted(self, given: dict[str, str], variable: str):
        usable: dict[str, Any] = {
            "url": "https://pos.example.com",
            "client_id": "a",
            "client_secret": "b",
        }
        with pytest.raises(SettingsError, match=variable) as failure:
            QuClient(**{**usable, **given})
        assert "shh" not in str(failure.value)


class TestRefusals:
    def test_an_establishment_that_does_not_allow_us_is_refused_with_what_to_check(
        self, qu: QuSimulator, qu_client: QuClient
    ):
        qu.options.forbidden = ("1001",)
        for ask in (qu_client.menu, qu_client.generation):
            with pytest.raises(
                SourceRefused, match=r"not allowed for location 1001.*have it enabled"
            ):
                ask(config_of("1001"))

    def test_the_integration_is_sent_where_the_gateway_requires_it(self, qu: QuSimulator):
        qu.options.integration = "signs"
        with client_of(qu) as client, pytest.raises(SourceRefused, match="QU_INTEGRATION"):
            client.generation(config_of())
        with client_of(qu, integration="signs") as client:
            assert client.generation(config_of())

    def test_a_menu_that_could_not_be_made_is_no_empty_menu(
        self, qu: QuSimulator, qu_client: QuClient
    ):
        qu.options.failing = ("1001",)
        with pytest.raises(SourceRefused, match="the menu could not be made"):
            qu_client.menu(config_of())


class TestFaults:
    @pytest.mark.parametrize(
        "fault",
        [
            Fault(kind="status", status=429, headers={"Retry-After": "0"}),
            Fault(kind="status", status=503, body="html"),
            Fault(kind="truncate"),
            Fault(kind="cut"),
            Fault(kind="garbage", body="html"),
            Fault(kind="reset"),
        ],
        ids=lambda fault: f"{fault.kind} {fault.status}",
    )
    def test_a_passing_failure_is_survived_and_a_lasting_one_is_an_error(
        self, qu: QuSimulator, fault: Fault
    ):
        qu.faults.add(replace(fault, type="menus", times=2))
        with client_of(qu) as client, fetched(client, config_of()) as menu:
            assert menu.calls == 3
            assert client.traffic.retries == 2
            assert len(by_path(menu)) > 50
        qu.faults.replace([replace(fault, type="menus")])
        broken = fault.kind in {"truncate", "cut", "garbage"}
        # Whether the last attempt still gets its answer is up to the machine.
        kinds = (SourceBroken, SourceUnavailable) if broken else SourceUnavailable
        with client_of(qu, retry_policy=BRIEF) as client, pytest.raises(kinds) as failure:
            client.menu(config_of())
        assert "GET /api/v4/menus" in str(failure.value)
        assert qu.client_secret not in str(failure.value)

    def test_json_that_is_no_menu_is_an_error_at_once(self, qu: QuSimulator, qu_client: QuClient):
        qu.faults.add(Fault(kind="status", status=200, body="json", type="menus"))
        with pytest.raises(NotAMenu):
            qu_client.menu(config_of())
        assert qu.faults.fired == 1

    def test_a_stall_is_noticed(self, qu: QuSimulator, qu_client: QuClient):
        qu.faults.add(Fault(kind="stall", seconds=20, type="menus", times=1))
        fetched(qu_client, config_of()).close()
        assert qu_client.traffic.retries == 1


_MEASURE = """
import sys
from pathlib import Path
from sync_pipeline.systems.integrations.api import QuClient
from sync_pipeline_tests.fixtures.integrations import config_of

with QuClient(*sys.argv[1:]) as client, client.menu(config_of()) as menu:
    for kind in ("products", "modifiers", "discounts"):
        assert sum(map(len, menu.batches(kind)))
status = Path("/proc/self/status").read_text()
print(status.partition("VmHWM:")[2].split()[0])
"""


class TestSize:
    @pytest.mark.skipif(sys.platform != "linux", reason="reads the high-water mark from /proc")
    def test_memory_does_not_grow_with_the_menu(self, qu: QuSimulator):
        def peak_kb() -> int:
            # A process of its own, as the simulator's memory is not ours.
            command = [sys.executable, "-c", _MEASURE, qu.url, qu.client_id, qu.client_secret]
            return int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

        small = peak_kb()
        qu.options.extra_items = 20_000
        assert peak_kb() < small + 20_000
        assert qu.stats.bytes > 28_000_000

    def test_asking_for_the_generation_reads_only_the_head(
        self, qu: QuSimulator, qu_client: QuClient
    ):
        qu.options.extra_items = 20_000
        assert qu_client.generation(config_of()) == qu.restaurants.generation("1001")
        assert qu_client.traffic.bytes < 1_000_000
