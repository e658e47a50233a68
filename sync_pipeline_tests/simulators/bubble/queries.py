"""Queries of a simulated Bubble app."""

from typing import Any

import httpx2
import orjson

BY_ID = '[{"sort_field":"_id","descending":"false"}]'


def where(key: str, constraint_type: str, value: Any = None) -> dict[str, Any]:
    return {"key": key, "constraint_type": constraint_type, "value": value}


def ask(http: httpx2.Client, kind: str, *constraints: Any, **parameters: Any) -> httpx2.Response:
    if constraints:
        parameters["constraints"] = orjson.dumps(constraints).decode()
    return http.get(f"/obj/{kind}", params=parameters)


def listing(http: httpx2.Client, kind: str, *constraints: Any, **parameters: Any) -> dict[str, Any]:
    reply = ask(http, kind, *constraints, **parameters)
    assert reply.status_code == 200, reply.text
    return reply.json()["response"]


def results(
    http: httpx2.Client, kind: str, *constraints: Any, **parameters: Any
) -> list[dict[str, Any]]:
    return listing(http, kind, *constraints, **parameters)["results"]


def ids(http: httpx2.Client, kind: str, *constraints: Any, **parameters: Any) -> list[str]:
    return [thing["_id"] for thing in results(http, kind, *constraints, **parameters)]


def read(http: httpx2.Client, kind: str, uid: str) -> dict[str, Any]:
    reply = http.get(f"/obj/{kind}/{uid}")
    assert reply.status_code == 200, reply.text
    return reply.json()["response"]


def scan(http: httpx2.Client, kind: str, **parameters: Any) -> list[str]:
    """All ids by plain offsets, as simple clients do."""
    found: list[str] = []
    while True:
        page = listing(http, kind, cursor=len(found), **parameters)
        found += [thing["_id"] for thing in page["results"]]
        if not page["results"] or page["remaining"] == 0:
            return found
