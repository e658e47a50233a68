"""Serving an app in the background, and stopping at once whatever is under way."""

import asyncio
import socket
import time
from threading import Thread

import httpx2
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from sync_pipeline.simulators.server import BackgroundServer


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(60)
    await PlainTextResponse("hello")(scope, receive, send)


def get(url: str) -> str:
    with httpx2.Client(trust_env=False, verify=False) as http:
        return http.get(url).text


def test_it_answers_as_soon_as_it_was_started_and_not_after_it_was_stopped():
    server = BackgroundServer(hello)
    server.start()
    assert get(server.url) == "hello"
    server.stop()
    with pytest.raises(httpx2.ConnectError):
        get(server.url)
    server.stop()


def test_started_again_it_listens_where_it_did():
    server = BackgroundServer(hello)
    server.start()
    url = server.url
    server.stop()
    server.start()
    assert get(url) == "hello"
    server.stop()


def test_it_cannot_be_started_twice():
    server = BackgroundServer(hello)
    server.start()
    with pytest.raises(RuntimeError, match="already listening"):
        server.start()
    server.stop()


def test_a_port_that_is_taken_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = BackgroundServer(hello, port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            server.start()


def test_a_stop_waits_neither_for_slow_calls_nor_for_idle_connections():
    server = BackgroundServer(hello)
    server.start()
    failures: list[Exception] = []

    def call_slowly() -> None:
        try:
            get(f"{server.url}/slow")
        except httpx2.TransportError as error:
            failures.append(error)

    with httpx2.Client(trust_env=False, verify=False) as idle:
        idle.get(server.url)
        caller = Thread(target=call_slowly)
        caller.start()
        time.sleep(0.1)
        started = time.perf_counter()
        server.stop()
        assert time.perf_counter() - started < 1
        caller.join(5)
    assert len(failures) == 1
