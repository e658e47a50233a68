"""The simulated gateway as a client meets it: tokens, menus, permissions, and edits."""

import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from sync_pipeline.simulators.clock import ManualClock
from sync_pipeline.simulators.integrations.credentials import (
    CLIENT_ID,
    CLIENT_SECRET,
    ESTABLISHMENTS,
)
from sync_pipeline.simulators.integrations.restaurants import Restaurants
from sync_pipeline.simulators.integrations.sample_menus import sample_menu
from sync_pipeline.simulators.integrations.simulator import QuSimulator

FORM = {
    "grant_type": "client_credentials",
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
}
TOKENS = "/authentication/oauth2/access-token"


def query(establishment: str = "1001", **more: str) -> dict[str, str]:
    return {"LocationId": establishment, "OrderChannelId": "2", "OrderTypeId": "1", **more}


def signed(http: httpx2.Client) -> httpx2.Client:
    token = http.post(TOKENS, data=FORM).json()["access_token"]
    http.headers["Authorization"] = f"Bearer {token}"
    return http


def nodes(above: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in above:
        yield node
        yield from nodes(node["children"])


class TestTokens:
    def test_a_wrong_secret_is_an_invalid_client(self, qu_http: httpx2.Client):
        reply = qu_http.post(TOKENS, data={**FORM, "client_secret": "guessed"})
        assert (reply.status_code, reply.json()) == (401, {"error": "invalid_client"})
        assert qu_http.post(TOKENS, data={"grant_type": "password"}).status_code == 400

    def test_menus_want_a_token_that_has_not_expired(self):
        clock = ManualClock(datetime(2026, 11, 2, tzinfo=UTC))
        with (
            QuSimulator(Restaurants(scale=0.01), clock=clock) as qu,
            httpx2.Client(base_url=f"{qu.url}/api/v4", trust_env=False, verify=False) as http,
        ):
            assert http.get("/menus", params=query()).status_code == 401
            assert signed(http).get("/menus", params=query()).status_code == 200
            clock.advance(hours=1)
            assert http.get("/menus", params=query()).status_code == 401
            assert signed(http).get("/menus", params=query()).status_code == 200
            qu.gateway.expire_tokens()
            assert http.get("/menus", params=query()).status_code == 401


class TestPermissions:
    def test_an_establishment_may_not_allow_the_integration(
        self, qu: QuSimulator, qu_http: httpx2.Client
    ):
        qu.options.forbidden = ("1003",)
        http = signed(qu_http)
        assert http.get("/menus", params=query("1003")).status_code == 403
        assert http.get("/locations/1003").status_code == 403
        assert http.get("/locations/1001").json()["value"]["name"] == "Restaurant 1001"
        assert http.get("/menus", params=query("77")).status_code == 404
        assert http.get("/menus", params={"LocationId": "1001"}).status_code == 400

    def test_company_and_integration_have_to_be_ours(self, qu: QuSimulator, qu_http: httpx2.Client):
        http = signed(qu_http)
        params = query()
        assert http.get("/menus", params=params, headers={"Company-Id": "1"}).status_code == 403
        qu.options.integration = "signs"
        assert http.get("/menus", params=params).status_code == 403
        assert (
            http.get("/menus", params=params, headers={"X-Integration": "signs"}).status_code == 200
        )


class TestMenus:
    def test_a_menu_has_every_trap_of_the_real_ones(self, qu_http: httpx2.Client):
        http = signed(qu_http)
        menu = http.get("/menus", params=query()).json()
        found = list(nodes(menu["children"]))
        items = [node for node in found if node["itemType"] == 1]
        paths = defaultdict(set)
        for item in items:
            paths[item["itemMasterId"]].add(item["itemPathKey"])
        assert max(map(len, paths.values())) > 1
        assert all(
            node["itemPathKey"] == f"{node['parentPathKey']}-{node['itemMasterId']}"
            for node in found[1:]
        )
        assert found[0]["parentPathKey"] is None
        assert {type(item["displayAttribute"]["plu"]) for item in items} == {str, int, float}
        assert any("priceAttribute" not in item for item in items)
        assert any(
            item["priceAttribute"]["prices"][0]["price"] == 0
            for item in items
            if "priceAttribute" in item
        )
        assert {10, 6, 4, 1, 7, 3} == {node["itemType"] for node in found}
        assert sum(node["deleted"] for node in found) == 2
        titles = " ".join(node["title"] for node in found if node["itemType"] == 6)
        assert all(word in titles for word in ("OLO", "3PD", "3PO", "All Items", "Colossal"))
        amounts = [discount["discountAmount"] for discount in menu["discounts"].values()]
        assert amounts.count(0) == 1
        applied = Counter(d["discountId"] for node in found for d in node["applicableDiscounts"])
        assert applied[9002] > 1

    def test_one_establishment_sends_its_menus_wrapped_and_one_an_item_without_id(
        self, qu_http: httpx2.Client
    ):
        http = signed(qu_http)
        replies = {name: http.get("/menus", params=query(name)).json() for name in ESTABLISHMENTS}
        assert set(replies["1002"]) == {"value", "succeed", "errors"}
        replies["1002"] = replies["1002"]["value"]
        nameless = {
            name: sum("itemPathKey" not in node for node in nodes(menu["children"]))
            for name, menu in replies.items()
        }
        assert nameless == {"1001": 0, "1002": 0, "1003": 1}

    def test_menus_have_the_size_of_real_ones_and_repeat(self):
        first, again = sample_menu(1, 1.0, "1001"), sample_menu(1, 1.0, "1001")
        other_site, other_seed = sample_menu(1, 1.0, "1002"), sample_menu(2, 1.0, "1001")
        paths = [path for path, _ in first.root.walk()]
        assert first == again != other_seed
        assert paths == [path for path, _ in other_site.root.walk()]
        assert first != other_site
        assert 1_100 < sum(node.type == 1 for _, node in first.root.walk()) < 1_150

    def test_an_unchanged_menu_is_not_sent_again(self, qu: QuSimulator, qu_http: httpx2.Client):
        http = signed(qu_http)
        generation = http.get("/menus", params=query()).headers["X-Generation-Time"]
        params = query(PrevGenerationTime=generation)
        for status in (204, 200):
            qu.options.unchanged_status = status
            reply = http.get("/menus", params=params)
            assert (reply.status_code, reply.content) == (status, b"")
        assert qu.restaurants.touch("1001") != generation
        assert http.get("/menus", params=params).content

    @pytest.mark.parametrize("children_first", [True, False])
    def test_a_huge_menu_is_sound_json_in_either_order(
        self, qu: QuSimulator, qu_http: httpx2.Client, *, children_first: bool
    ):
        qu.options.update({"extra_items": 600, "children_first": children_first})
        menu = signed(qu_http).get("/menus", params=query("1002")).json()["value"]
        found = list(nodes(menu["children"]))
        assert sum(node["title"].startswith("Extra ") for node in found) >= 600
        assert (next(iter(found[0])) == "children") is children_first


class TestEdits:
    def test_edits_over_the_admin_api_are_seen_in_the_next_menu(
        self, qu: QuSimulator, qu_http: httpx2.Client
    ):
        http = signed(qu_http)
        category, other = qu.restaurants.paths("1001", 6)[:2]
        items = [p for p in qu.restaurants.paths("1001", 1) if p.rpartition("-")[0] == category]
        moved, priced, removed = items[-3:]
        flagged = other

        def edit(action: str, **body: Any) -> Any:
            reply = http.post(f"{qu.admin_url}/{action}", json={"establishment": "1001", **body})
            assert reply.status_code == 200, reply.text
            return reply.json()

        path = edit("move", path=moved, to=other)["path"]
        edit("reprice", path=priced, price="123.45")
        edit("remove", path=removed)
        edit("mark-deleted", path=flagged)
        generation = edit("touch")["generation"]
        reply = http.get("/menus", params=query())
        found = {n["itemPathKey"]: n for n in nodes(reply.json()["children"])}
        assert reply.headers["X-Generation-Time"] == generation
        assert path.startswith(other)
        assert path in found
        assert found.keys().isdisjoint({moved, removed})
        assert found[priced]["priceAttribute"]["prices"][0]["price"] == 123.45
        assert found[flagged]["deleted"]
        unknown = {"establishment": "1001", "path": "no-such"}
        assert http.post(f"{qu.admin_url}/remove", json=unknown).status_code == 400


def test_as_a_process_it_says_where_it_listens_and_ends_cleanly(tmp_path: Path):
    ready_file = tmp_path / "ready.json"
    command = [sys.executable, "-W", "error", "-m", "sync_pipeline.simulators.integrations"]
    options = ["--scale", "0.01", "--ready-file", str(ready_file)]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            ready = orjson.loads(line)
            assert ready_file.read_bytes() == line
            assert ready["pid"] == process.pid
            with httpx2.Client(trust_env=False, verify=False) as http:
                reply = http.post(
                    f"{ready['url']}/api/v4{TOKENS}",
                    data={
                        "grant_type": "client_credentials",
                        "client_id": ready["client_id"],
                        "client_secret": ready["client_secret"],
                    },
                )
                assert reply.status_code == 200
                assert http.get(f"{ready['admin_url']}/stats").json()["total"] == 1
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
