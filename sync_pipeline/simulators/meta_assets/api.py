"""The Graph API: routes, authorization and replies. Every version is the same."""

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_plus

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from sync_pipeline.simulators.clock import Clock
from sync_pipeline.simulators.faults import Call
from sync_pipeline.simulators.meta_assets import errors
from sync_pipeline.simulators.meta_assets.accounts import Accounts
from sync_pipeline.simulators.meta_assets.errors import ArmedErrors, ErrorResponse, GraphError
from sync_pipeline.simulators.meta_assets.options import Options
from sync_pipeline.simulators.meta_assets.pages import page_of, paging, read_window
from sync_pipeline.simulators.middleware import content_fault

VERSION = "v23.0"
APP_ID = "700000000000001"
APP_SECRET = "invented-app-secret"  # noqa: S105  invented

_DEFAULT_FIELDS = (
    "verified_name,code_verification_status,display_phone_number,quality_rating,platform_type,"
    "throughput,id"
)
_PATH = re.compile(r"/v[\d.]+/(?P<node>\d+)(?P<edge>/\w+)?$")

Answer = Callable[[Request], Awaitable[Any]]


def classify(scope: Scope) -> Call:
    """Classify a call for faults and statistics."""
    path: str = scope["path"]
    query = scope["query_string"].decode("latin-1")
    url = f"{path}?{unquote_plus(query)}" if query else path
    found = _PATH.match(path)
    edge = found["edge"] or "" if found else ""
    return Call(
        method=scope["method"],
        url=url,
        route="/{id}" + edge if found else path,
        type="phone_numbers" if edge in ("", "/phone_numbers") and found else None,
        listing=edge == "/phone_numbers",
    )


class GraphAPI:
    """The routes of one app."""

    def __init__(
        self, accounts: Accounts, options: Options, armed: ArmedErrors, *, clock: Clock
    ) -> None:
        self._accounts = accounts
        self._options = options
        self._armed = armed
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        endpoints: list[tuple[str, str, Answer]] = [
            ("GET", "oauth/access_token", self._exchange),
            ("GET", "{waba}/phone_numbers", self._list),
            ("POST", "{waba}/subscribed_apps", self._subscribe),
            ("POST", "{phone}/register", self._register),
            ("GET", "{phone}", self._read),
        ]
        return [
            Route(f"/v{{version}}/{path}", self._endpoint(answer), methods=[method])
            for method, path, answer in endpoints
        ]

    def _endpoint(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            token = _token(request)
            try:
                self._armed.check(request.url.path, token)
                status, body = 200, await answer(request)
            except ErrorResponse as error:
                status, body = error.error.status, error.error.body(self._echo(token))
            media = "application/json; charset=UTF-8"
            return Response(orjson.dumps(body), status, self._usage(), media)

        return endpoint

    async def _list(self, request: Request) -> dict[str, Any]:
        token = self._authorize(request)
        waba, query = request.path_params["waba"], request.query_params
        numbers = self._accounts.account(token, waba)
        window = read_window(query, self._options)
        page = page_of(numbers, window, self._options, content_fault(request.scope))
        names = _fields(request)
        # Graph writes the token into its links even if it came in the header.
        repeated = {"access_token": token, "fields": ",".join(names), "limit": window.limit}
        links = paging(page, f"{_origin(request)}{request.url.path}", repeated)
        if self._options.next_without_cursors:
            links.pop("cursors", None)
        data = [_selected(number.fields, names) for number in page.numbers]
        return {"data": data, "paging": links} if links else {"data": data}

    async def _read(self, request: Request) -> dict[str, Any]:
        token = self._authorize(request)
        number = self._accounts.number(token, request.path_params["phone"])
        return _selected(number.fields, _fields(request))

    async def _subscribe(self, request: Request) -> dict[str, Any]:
        token = self._authorize(request)
        self._accounts.account(token, request.path_params["waba"])
        return {"success": True}

    async def _register(self, request: Request) -> dict[str, Any]:
        token = self._authorize(request)
        phone = request.path_params["phone"]
        self._accounts.number(token, phone, "post")
        body = orjson.loads(await request.body() or b"{}")
        if body.get("messaging_product") != "whatsapp":
            raise errors.bad_parameter("The parameter messaging_product is required.")
        if not re.fullmatch(r"\d{6}", str(body.get("pin"))):
            raise errors.bad_parameter("Param pin must be 6 characters long.")
        self._accounts.change(phone, status="CONNECTED")
        return {"success": True}

    async def _exchange(self, request: Request) -> dict[str, Any]:
        query = request.query_params
        if (query.get("client_id"), query.get("client_secret")) != (APP_ID, APP_SECRET):
            raise ErrorResponse(GraphError(code=1, message="Error validating client secret."))
        token = self._accounts.codes.pop(query.get("code", ""), None)
        if token is None:
            message = "This authorization code has been used or has expired."
            raise ErrorResponse(GraphError(code=100, subcode=36009, message=message))
        return {"access_token": token, "token_type": "bearer"}

    def _authorize(self, request: Request) -> str:
        token = _token(request)
        if not token:
            message = "An access token is required to request this resource."
            raise ErrorResponse(GraphError(code=104, message=message))
        known = self._accounts.tokens.get(token)
        if known is None or known.broken is not None:
            subcode = known.broken if known else None
            raise errors.bad_token(subcode, f"{self._clock():%A, %d-%b-%y %H:%M:%S} PST")
        if not known.permitted:
            raise errors.not_permitted()
        return token

    def _echo(self, token: str) -> str:
        match self._options.echo:
            case "no":
                return ""
            case "plain":
                return f" Malformed access token {token}"
            case "quoted":
                return f" In the request ?access_token={quote(token, safe='')}&limit=100"

    def _usage(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        if (app := self._options.app_usage) is not None:
            usage: dict[str, Any] = {"call_count": app, "total_cputime": 1, "total_time": 1}
            headers["X-App-Usage"] = orjson.dumps(usage).decode()
        if (business := self._options.business_usage) is not None:
            case = {
                "type": "whatsapp_business_management",
                "call_count": 1,
                "total_cputime": 1,
                "total_time": business,
                "estimated_time_to_regain_access": self._options.regain_minutes,
            }
            headers["X-Business-Use-Case-Usage"] = orjson.dumps(
                {"900000000000001": [case]}
            ).decode()
        return headers


def _token(request: Request) -> str:
    header = request.headers.get("authorization", "")
    return header.removeprefix("Bearer ") or request.query_params.get("access_token", "")


def _fields(request: Request) -> list[str]:
    # Nested fields in braces, which Graph supports, are not simulated.
    names = dict(parse_qsl(request.url.query)).get("fields") or _DEFAULT_FIELDS
    return [*dict.fromkeys([*names.split(","), "id"])]


def _selected(fields: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return {name: fields[name] for name in names if name in fields}


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"
