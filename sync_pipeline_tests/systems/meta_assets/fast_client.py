"""Clients that talk to a simulated Graph API in haste, and short words for what they ask."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sync_pipeline.merge.stream import EntityBatches
from sync_pipeline.simulators.meta_assets.credentials import PHONES
from sync_pipeline.simulators.meta_assets.simulator import MetaSimulator
from sync_pipeline.systems.meta_assets.api.client import MetaClient, ReadRequest, ReadResult
from sync_pipeline.systems.meta_assets.api.errors import GraphError
from sync_pipeline_tests.fixtures.fast_retries import QUICK
from sync_pipeline_tests.fixtures.meta_assets import workspace

FIELDS = ("id", "display_phone_number", "verified_name", "quality_rating")


@dataclass
class Naps:
    """A simulated sleep: records the seconds, and calls `meanwhile`."""

    seconds: list[float] = field(default_factory=list)
    meanwhile: Callable[[], Any] = lambda: None

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.meanwhile()


@contextmanager
def client_of(meta: MetaSimulator, **settings: Any) -> Iterator[MetaClient]:
    """A client that does not dawdle."""
    hasty: dict[str, Any] = {"fields": FIELDS, "retry_policy": QUICK, "requests_per_minute": 1e6}
    with MetaClient(settings.pop("url", meta.url), **{**hasty, **settings}) as client:
        yield client


def request(waba: str, token: str, *, workspace: str = "w1", phone: str = "") -> ReadRequest:
    return ReadRequest(workspace, token, waba, phone)


def results_of(meta: MetaSimulator, *requests: ReadRequest, **settings: Any) -> list[ReadResult]:
    with client_of(meta, **settings) as client:
        return list(client.read(requests))


def error_of(meta: MetaSimulator, asked: ReadRequest, **settings: Any) -> GraphError:
    """The one error that a request results in."""
    (result,) = results_of(meta, asked, **settings)
    assert result.error is not None
    return result.error


def ids(results: Iterable[ReadResult]) -> list[str]:
    return [record["id"] for result in results for record in result.records]


def records_of(stream: EntityBatches) -> list[dict[str, Any]]:
    return [dict(record) for batch in stream.batches for record in batch]


def held(records: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(r["workspace_id"], r["id"]) for r in records}


def numbers(name: str, waba: str) -> set[tuple[str, str]]:
    return {(workspace(name), phone) for phone in PHONES[waba]}
