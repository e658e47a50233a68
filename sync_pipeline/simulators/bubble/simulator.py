"""The Bubble simulator as one object that a test or the demo starts, controls and stops."""

from sync_pipeline.simulators.base import Simulator
from sync_pipeline.simulators.bubble.admin_api import BubbleAdminApi
from sync_pipeline.simulators.bubble.api import API_ROOT, DataAPI, classify
from sync_pipeline.simulators.bubble.company import Company
from sync_pipeline.simulators.bubble.options import Options
from sync_pipeline.simulators.bubble.responses import ErrorResponse, send_error
from sync_pipeline.simulators.bubble.store import Store
from sync_pipeline.simulators.clock import Clock, system_clock

DEFAULT_TOKEN = "invented-bubble-token-0000"  # noqa: S105 - an invented token for an invented app


class BubbleSimulator(Simulator[Options]):
    """A Bubble app that listens on a port of its own.

        with BubbleSimulator(make_company(scale=0.02)) as bubble:
            client = Client(bubble.url, token=bubble.token)

    Stopped and started again it listens on the same port, with the data as it was left. The
    company it was made from stays as it is.

    Attributes:
        token: the API token that it accepts.
        options: assign to their attributes at any time.
        faults: arm faults with `faults.add(Fault(...))`.
        stats: counts since the start or the last `stats.reset()`.
        store: the records, and the editor's actions on them: `patch`, `create`, `delete`,
            `hide_field`, `rename_field`, and the `change_log`.
    """

    def __init__(
        self,
        company: Company,
        options: Options | None = None,
        *,
        token: str = DEFAULT_TOKEN,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock = system_clock,
    ) -> None:
        super().__init__(options if options is not None else Options())
        self.token = token
        self.store = Store(company, options=self.options, clock=clock)
        api = DataAPI(self.store, self.options, token=token)
        admin = BubbleAdminApi(
            store=self.store, options=self.options, faults=self.faults, stats=self.stats
        )
        self._serve(
            [*api.routes(), *admin.routes()],
            classify=classify,
            clock=clock,
            host=host,
            port=port,
            exception_handlers={ErrorResponse: send_error},
        )

    @property
    def url(self) -> str:
        """The root of the live branch, as `BUBBLE_API_URL` takes it."""
        return self.branch_url("/version-live")

    def branch_url(self, branch: str) -> str:
        """The root of a branch: `/version-live`, `/version-test`, or an empty text."""
        return self._server.url + branch + API_ROOT
