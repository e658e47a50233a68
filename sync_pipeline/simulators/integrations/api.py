"""The gateway: its token endpoint, its menus, and who may read them."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Scope

from sync_pipeline.simulators.clock import Clock
from sync_pipeline.simulators.faults import Call
from sync_pipeline.simulators.integrations import json_stream
from sync_pipeline.simulators.integrations.credentials import BRAND
from sync_pipeline.simulators.integrations.options import Options
from sync_pipeline.simulators.integrations.restaurants import Restaurants
from sync_pipeline.simulators.integrations.sample_menus import SampleMenu

API_ROOT = "/api/v4"
TOKENS = "/authentication/oauth2/access-token"
GENERATION = "X-Generation-Time"


class ErrorResponse(Exception):
    """An error reply."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


async def send_error(_: Request, error: Exception) -> Response:
    """Exception handler: the response to an `ErrorResponse`."""
    assert isinstance(error, ErrorResponse)
    return json_reply({"error": error.error}, error.status)


def json_reply(value: Any, status: int = 200) -> Response:
    """A value as JSON, or bytes that are JSON already."""
    content = value if isinstance(value, bytes) else orjson.dumps(value)
    return Response(content, status, media_type="application/json")


def classify(scope: Scope) -> Call:
    """Classify a call for faults and statistics."""
    path: str = scope["path"]
    query = scope["query_string"].decode("latin-1")
    url = f"{path}?{unquote_plus(query)}" if query else path
    route = path.removeprefix(API_ROOT)
    if route.startswith("/locations/"):
        route = "/locations/{id}"
    return Call(method=scope["method"], url=url, route=route, type=route.split("/")[1])


class Gateway:
    """The routes of the gateway.

    Args:
        restaurants: whose menus it serves.
        options: read at each call.
        credentials: client id and secret that it accepts.
        clock: for the expiry of tokens.
    """

    def __init__(
        self,
        restaurants: Restaurants,
        options: Options,
        *,
        credentials: tuple[str, str],
        clock: Clock,
    ) -> None:
        self._restaurants = restaurants
        self._options = options
        self._credentials = credentials
        self._clock = clock
        self._tokens: dict[str, datetime] = {}
        self._numbers = count(1)

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        routes = [
            Route(TOKENS, self._token, methods=["POST"]),
            Route("/menus", self._menu, methods=["GET"]),
            Route("/locations/{location}", self._location, methods=["GET"]),
        ]
        return [Mount(API_ROOT, routes=routes)]

    def expire_tokens(self) -> None:
        """Invalidate every token issued so far."""
        self._tokens.clear()

    async def _token(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        if form.get("grant_type") != ["client_credentials"]:
            raise ErrorResponse(400, "unsupported_grant_type")
        sent = (form.get("client_id", [""])[0], form.get("client_secret", [""])[0])
        if sent != self._credentials:
            raise ErrorResponse(401, "invalid_client")
        token = f"invented-token-{next(self._numbers):04}"
        lifetime_s = self._options.token_lifetime_s
        self._tokens[token] = self._clock() + timedelta(seconds=lifetime_s)
        return json_reply({"access_token": token, "token_type": "Bearer", "expires_in": lifetime_s})

    async def _menu(self, request: Request) -> Response:
        self._authorize(request)
        query = request.query_params
        if missing := {"LocationId", "OrderChannelId", "OrderTypeId"} - set(query):
            raise ErrorResponse(400, f"missing {', '.join(sorted(missing))}")
        location = self._allowed(request, query["LocationId"])
        if location in self._options.failing:
            errors = ["the menu could not be made"]
            return json_reply({"value": None, "succeed": False, "errors": errors})
        generation = self._restaurants.generation(location)
        headers = {GENERATION: generation}
        if query.get("PrevGenerationTime") == generation and not self._options.ignores_previous:
            return Response(status_code=self._options.unchanged_status, headers=headers)
        context = {
            "companyId": int(BRAND),
            "locationId": int(location),
            "orderChannelId": query["OrderChannelId"],
            "orderTypeId": query["OrderTypeId"],
            "mealPeriodId": None,
        }
        chunks = self._restaurants.read(location, lambda menu: self._chunks(menu, context))
        if location in self._options.wrapped:
            chunks = _wrapped(chunks)
        if self._options.extra_items:
            return StreamingResponse(_streamed(chunks), 200, headers, "application/json")
        return Response(b"".join(chunks), 200, headers, "application/json")

    def _chunks(self, menu: SampleMenu, context: dict[str, Any]) -> Iterator[bytes]:
        if self._options.shape == "flat":
            return iter([json_stream.flat(menu)])
        return json_stream.tree(menu, context, self._options)

    async def _location(self, request: Request) -> Response:
        self._authorize(request)
        location = self._allowed(request, request.path_params["location"])
        value = {"id": int(location), "name": f"Restaurant {location}", "companyId": int(BRAND)}
        return json_reply({"value": value, "succeed": True, "errors": []})

    def _authorize(self, request: Request) -> None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        expires = self._tokens.get(token)
        if expires is None or expires <= self._clock():
            raise ErrorResponse(401, f"the token {token} is not valid")

    def _allowed(self, request: Request, location: str) -> str:
        required = self._options.integration
        if required is not None and request.headers.get("x-integration") != required:
            raise ErrorResponse(403, "X-Integration is missing or unknown")
        if request.headers.get("company-id", BRAND) != BRAND:
            raise ErrorResponse(403, "the company is not yours")
        if location in self._options.forbidden:
            raise ErrorResponse(403, f"integration not allowed for location {location}")
        if location not in self._restaurants:
            raise ErrorResponse(404, f"there is no location {location}")
        return location


def _wrapped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield b'{"value":'
    yield from chunks
    yield b',"succeed":true,"errors":[]}'


async def _streamed(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Chunk by chunk, with backpressure from the client."""
    for chunk in chunks:
        yield chunk
