"""Transport-level effects of faults: connection resets, stalls and truncated bodies.

Content faults are not here: the simulator of the protocol applies those.
"""

import asyncio
import contextlib
import socket
import struct
from http.client import responses

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sync_pipeline.simulators.faults import BodyKind, Fault
from sync_pipeline.simulators.server import transport_of

MEDIA_TYPES: dict[BodyKind, str] = {
    "json": "application/json",
    "plain": "text/plain",
    "html": "text/html",
}
HTML_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"
STALLED_LENGTH = 4096


async def apply_fault(
    fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer one call with the fault; `app` produces the response that is truncated or cut."""
    match fault.kind:
        case "status":
            headers = dict(fault.headers)
            reply = error_page(fault.status, fault.body, headers=headers)
            await reply(scope, receive, send)
        case "garbage":
            body: BodyKind = "html" if fault.body == "json" else fault.body
            await error_page(200, body)(scope, receive, send)
        case "reset":
            await _reset(scope, receive)
        case "stall":
            await _stall(fault.seconds, scope, receive, send)
        case "truncate":
            await _truncate(app, scope, receive, send)
        case "cut":
            await _cut(app, scope, receive, send)
        case _:
            raise ValueError(
                f"{fault.kind} is a content fault: the protocol's simulator applies it"
            )


def error_page(status: int, body: BodyKind, *, headers: dict[str, str] | None = None) -> Response:
    """An error response as proxies send it, not in the form of the API behind them."""
    title = "Please wait" if status == 200 else responses.get(status, "Error")
    content = {
        "json": f'{{"statusCode":{status},"body":{{"status":"ERROR","message":"{title}"}}}}',
        "plain": title,
        "html": HTML_PAGE.format(title),
    }[body]
    return Response(content, status, headers, MEDIA_TYPES[body])


async def _reset(scope: Scope, receive: Receive) -> None:
    transport = transport_of(scope)
    # Without lingering, abort() would close the connection with FIN instead of RST.
    transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    transport.abort()
    await _disconnected(receive)


async def _stall(seconds: float, scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"content-type", b"application/json"), _length(STALLED_LENGTH)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(_disconnected(receive), seconds)
    transport_of(scope).abort()
    await _disconnected(receive)


async def _truncate(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    start, body = await _captured(app, scope, receive)
    await send(_with_length(start, len(body)))
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    transport_of(scope).close()
    await _disconnected(receive)


async def _cut(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    start, body = await _captured(app, scope, receive)
    body = body[: len(body) // 2]
    await send(_with_length(start, len(body)))
    await send({"type": "http.response.body", "body": body})


async def _captured(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    return messages[0], b"".join(message.get("body", b"") for message in messages[1:])


def _with_length(start: Message, length: int) -> Message:
    kept = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
    return {**start, "headers": [*kept, _length(length)]}


def _length(value: int) -> tuple[bytes, bytes]:
    return b"content-length", str(value).encode()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
