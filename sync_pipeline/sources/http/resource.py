"""Base of the Dagster resources that read HTTP sources: one client per run, and its traffic."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import dagster as dg
from pydantic import PrivateAttr

from sync_pipeline.merge.stream import SourceOutcome
from sync_pipeline.settings import Settings
from sync_pipeline.sources.http.client import HttpClient
from sync_pipeline.sources.http.response import Traffic
from sync_pipeline.sources.http.retry import RetryPolicy

ClientT = TypeVar("ClientT", bound=HttpClient)


class HttpSource(dg.ConfigurableResource):
    """Holds the client of a run, so that its rate limit, its token and its connections are shared."""

    _client: Any = PrivateAttr(default=None)
    _time_budget: dt.timedelta = PrivateAttr(default=dt.timedelta.max)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Close the connections at the end of the run."""
        self.close()

    def close(self) -> None:
        """Close the connections; harmless when there are none."""
        if self._client:
            self._client.close()
            self._client = None

    def set_time_budget(self, time_budget: dt.timedelta) -> None:
        """Give up each call after this time, even if the environment allows for more."""
        self._time_budget = time_budget

    def _open_client(self, make: Callable[[Settings, RetryPolicy], ClientT]) -> ClientT:
        """The run's client; made and opened at the first call."""
        if self._client is None:
            settings = Settings.read()
            time_budget = min(settings.source_outage, self._time_budget)
            self._client = make(settings, RetryPolicy(time_budget=time_budget)).__enter__()
        return self._client


@contextmanager
def traffic_counted(traffic: Traffic, outcome: SourceOutcome) -> Iterator[None]:
    """Attribute the traffic of a block to the outcome of one read."""
    calls, received = traffic.calls, traffic.bytes
    try:
        yield
    finally:
        outcome.calls = traffic.calls - calls
        outcome.bytes = traffic.bytes - received
