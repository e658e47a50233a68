"""The Data API: its routes, who may use them, and how each call is answered.

Every branch of the app shows the same data here. The admin API is in `admin_api`.
"""

import re
from urllib.parse import unquote_plus

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Scope

from sync_pipeline.simulators.bubble import meta, request_bodies, responses
from sync_pipeline.simulators.bubble.catalogue.types import type_name
from sync_pipeline.simulators.bubble.options import Options
from sync_pipeline.simulators.bubble.pages import Listings
from sync_pipeline.simulators.bubble.query_parameters import read_listing
from sync_pipeline.simulators.bubble.records import APP
from sync_pipeline.simulators.bubble.responses import JSONReply
from sync_pipeline.simulators.bubble.store import Store
from sync_pipeline.simulators.faults import Call
from sync_pipeline.simulators.middleware import content_fault

BRANCHES = ("", "/version-live", "/version-test")
API_ROOT = "/api/1.1"
BULK_LINES = 1_000

_OBJECT_PATH = re.compile(r".*?/api/1\.1/obj/(?P<type>[^/]+)(?P<rest>/.*)?$")
_WRONG_BULK = (
    "Expecting a newline-seperated list of JSON objects.  "
    "Make sure the Content-Type header is text/plain"
)


def classify(scope: Scope) -> Call:
    """What a call is about, for faults and statistics."""
    path: str = scope["path"]
    query = scope["query_string"].decode("latin-1")
    url = f"{path}?{unquote_plus(query)}" if query else path
    found = _OBJECT_PATH.match(path)
    if found is None:
        return Call(method=scope["method"], url=url, route=path)
    kind, rest = type_name(found["type"]), found["rest"] or ""
    return Call(
        method=scope["method"],
        url=url,
        route=f"/obj/{kind}" + (rest if rest in ("", "/bulk") else "/{id}"),
        type=kind,
        listing=not rest and scope["method"] == "GET",
    )


class DataAPI:
    """The routes of one app."""

    def __init__(self, store: Store, options: Options, *, token: str) -> None:
        self._store = store
        self._options = options
        self._token = token
        self._listings = Listings(store, options)

    def routes(self) -> list[BaseRoute]:
        """The routes of every branch."""
        routes = [
            Route("/obj/{kind}", self._list, methods=["GET"]),
            Route("/obj/{kind}", self._create, methods=["POST"]),
            Route("/obj/{kind}/bulk", self._create_bulk, methods=["POST"]),
            Route("/obj/{kind}/{uid}", self._read, methods=["GET"]),
            Route("/obj/{kind}/{uid}", self._change, methods=["PATCH", "PUT"]),
            Route("/obj/{kind}/{uid}", self._delete, methods=["DELETE"]),
            Route("/meta", self._meta, methods=["GET"]),
            Route("/meta/swagger.json", self._swagger, methods=["GET"]),
        ]
        return [Mount(branch + API_ROOT, routes=routes) for branch in BRANCHES]

    async def _list(self, request: Request) -> Response:
        self._authorize(request)
        schema = self._store.schema(request.path_params["kind"])
        listing = read_listing(request.query_params, schema, self._options)
        fault = content_fault(request.scope)
        return JSONReply(self._listings.answer(schema.name, listing, fault=fault))

    async def _read(self, request: Request) -> Response:
        self._authorize(request)
        rendered = self._store.rendered(*_named(request))
        return JSONReply(b'{"response":%b}' % rendered)

    async def _create(self, request: Request) -> Response:
        self._authorize(request)
        self._may_write("Permission denied: cannot create this object")
        kind = request.path_params["kind"]
        uid = self._create_one(kind, await request.body(), _creator(request))
        return JSONReply({"status": "success", "id": uid}, 201)

    async def _create_bulk(self, request: Request) -> Response:
        self._authorize(request)
        self._may_write("Permission denied: cannot create this object")
        kind = self._store.schema(request.path_params["kind"]).name
        lines = (await request.body()).splitlines()
        if not request.headers.get("content-type", "").startswith("text/plain") or not lines:
            raise responses.bad_request(_WRONG_BULK)
        creator = _creator(request)
        results = [self._bulk_line(kind, line, creator) for line in lines[:BULK_LINES]]
        late = {"status": "error", "message": f"More than {BULK_LINES} lines"}
        results += [late] * (len(lines) - len(results))
        return PlainTextResponse(b"\n".join(map(orjson.dumps, results)))

    async def _change(self, request: Request) -> Response:
        self._authorize(request)
        self._may_write("Permission denied: cannot modify this object")
        kind, uid = _named(request)
        self._store.get(kind, uid)
        values = request_bodies.read_body(await request.body(), self._store.schema(kind))
        change = self._store.put if request.method == "PUT" else self._store.patch
        change(kind, uid, values, origin="api")
        return Response(status_code=204)

    async def _delete(self, request: Request) -> Response:
        self._authorize(request)
        self._may_write("You do not have permission to delete this object")
        kind, uid = _named(request)
        self._store.delete(kind, uid, origin="api")
        return Response(status_code=204)

    async def _meta(self, request: Request) -> Response:
        if self._options.meta_needs_token:
            self._authorize(request)
        return JSONReply(meta.meta(self._store.exposed()))

    async def _swagger(self, request: Request) -> Response:
        if self._options.meta_needs_token:
            self._authorize(request)
        return JSONReply(meta.swagger(self._store.exposed()))

    def _authorize(self, request: Request) -> None:
        header = request.headers.get("authorization", "")
        given = header.removeprefix("Bearer ") or request.query_params.get("api_token", "")
        if given == self._token:
            return
        if given.startswith("bus|"):
            raise responses.unauthorized(f"Invalid or expired token: {given}")
        raise responses.unauthorized("Unauthorized: the API token is missing or wrong")

    def _may_write(self, message: str) -> None:
        if self._options.read_only:
            raise responses.unauthorized(message)

    def _create_one(self, kind: str, body: bytes, created_by: str) -> str:
        schema = self._store.schema(kind)
        read = request_bodies.read_new_user if schema.name == "user" else request_bodies.read_body
        return self._store.create(kind, read(body, schema), created_by=created_by, origin="api")

    def _bulk_line(self, kind: str, line: bytes, created_by: str) -> dict[str, str]:
        try:
            return {"status": "success", "id": self._create_one(kind, line, created_by)}
        except responses.ErrorResponse as error:
            return {"status": "error", "message": error.message}


def _named(request: Request) -> tuple[str, str]:
    return request.path_params["kind"], request.path_params["uid"]


def _creator(request: Request) -> str:
    environment = "test" if request.url.path.startswith("/version-test") else "live"
    return f"admin_user_{APP}_{environment}"
