"""Retry rules of one call: backoff, time budget, and the error that ends it.

The loop is stamina's; the transport and the source's client decide what counts as a failure.
"""

import logging
import random
import time
from dataclasses import dataclass
from datetime import timedelta

from stamina.instrumentation import set_on_retry_hooks

from sync_pipeline.errors import SourceBroken, SourceUnavailable

log = logging.getLogger(__name__)

# The last attempt is often cut off by the end of the budget, which alone would explain nothing.
_REASONS_QUOTED = 3

# Where structlog is installed, and Dagster installs it, stamina prints every retry to stdout, which
# belongs to the JSON of the command line. Retries are logged here, with their reason.
set_on_retry_hooks([])


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Time budget, timeouts and backoff of a call.

    Attributes:
        time_budget: from the first attempt of a call until it is given up.
        connect_timeout: for a connection to be made.
        read_timeout: for the next byte to arrive.
        first_wait: upper bound of the first wait; it doubles from one to the next. The waits are
            drawn evenly from zero to the bound, so that concurrent calls do not come back in step.
        longest_wait: bound at which the doubling ends.
        longest_retry_after: upper bound of a Retry-After.
        max_invalid_responses: after this many the source counts as broken.
    """

    time_budget: timedelta = timedelta(seconds=120)
    connect_timeout: timedelta = timedelta(seconds=10)
    read_timeout: timedelta = timedelta(seconds=30)
    first_wait: timedelta = timedelta(seconds=1)
    longest_wait: timedelta = timedelta(seconds=20)
    longest_retry_after: timedelta = timedelta(seconds=60)
    max_invalid_responses: int = 4


class RetryableError(Exception):
    """A transient failure; never leaves the retry loop.

    Attributes:
        wait: seconds that the source asked for, if it did.
        counts: whether it counts against a bound on attempts.
    """

    def __init__(self, reason: str, *, wait: float | None = None, counts: bool = True) -> None:
        super().__init__(reason)
        self.wait = wait
        self.counts = counts


class InvalidResponse(RetryableError):
    """A response that is not the protocol: cut short, not JSON, or of the wrong shape."""


class Retries:
    """The failures of one call, and whether the next is retried.

    Attributes:
        retries: waits granted, each followed by another attempt.
        waited: their sum in seconds.
        last: the latest failure.
    """

    def __init__(
        self,
        retry_policy: RetryPolicy,
        what: str,
        *,
        attempts: int | None = None,
        remedy: str = "Try again later.",
    ) -> None:
        self.retries = 0
        self.waited = 0.0
        self.last: RetryableError | None = None
        self._retry_policy = retry_policy
        self._what = what
        self._attempts = attempts
        self._remedy = remedy
        self._begun = 0.0
        self._started: float | None = None
        self._counted = 0
        self._invalid_responses = 0
        self._reasons: list[str] = []

    def start(self) -> None:
        """Start the clock of the time budget, unless it is running."""
        if self._started is None:
            self._begun = self._started = time.monotonic()

    def progress(self) -> None:
        """Begin the time budget anew, because the call has received more than ever before."""
        self._started = time.monotonic()

    @property
    def time_left(self) -> float:
        """Seconds left of the time budget."""
        return self._retry_policy.time_budget.total_seconds() - self._spent

    def wait_after(self, error: Exception) -> bool | float:
        """Seconds to wait before the next attempt, or False to give up; stamina's backoff hook."""
        if not isinstance(error, RetryableError):
            return False
        self.last = error
        if str(error) not in self._reasons:
            self._reasons.append(str(error))
        self._counted += error.counts
        self._invalid_responses += isinstance(error, InvalidResponse)
        wait = self._backoff(error)
        # A wait that outlasts the budget would only delay the error.
        if self._given_up or wait >= self.time_left:
            return False
        self.retries += 1
        self.waited += wait
        log.warning("%s: %s; trying again in %.1f s", self._what, error, wait)
        return wait

    def exhausted(self) -> SourceBroken | SourceUnavailable:
        """The exception to raise after giving up."""
        reasons = "; ".join(self._reasons[-_REASONS_QUOTED:])
        spent = 0.0 if self._started is None else time.monotonic() - self._begun
        history = f"{self.retries + 1} attempts in {spent:.1f} s: {reasons}"
        if self._broken:
            return SourceBroken(
                f"{self._what} keeps answering with something that is not its protocol ({history}). "
                "Check that the URL is that of the API."
            )
        return SourceUnavailable(f"{self._what} kept failing ({history}). {self._remedy}")

    @property
    def _spent(self) -> float:
        return 0.0 if self._started is None else time.monotonic() - self._started

    @property
    def _broken(self) -> bool:
        return self._invalid_responses >= self._retry_policy.max_invalid_responses

    @property
    def _given_up(self) -> bool:
        return self._broken or (self._attempts is not None and self._counted >= self._attempts)

    def _backoff(self, error: RetryableError) -> float:
        first = self._retry_policy.first_wait.total_seconds()
        if error.wait is not None:
            # Spread, or all waiting calls would come back at once.
            return error.wait + random.uniform(0, first)  # noqa: S311 - no secret
        bound = min(self._retry_policy.longest_wait.total_seconds(), first * 2**self.retries)
        return random.uniform(0, bound)  # noqa: S311 - no secret
