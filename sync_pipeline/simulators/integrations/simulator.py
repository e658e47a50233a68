"""The Qu simulator: start, control and stop it from a test or the demo."""

from sync_pipeline.simulators.base import Simulator
from sync_pipeline.simulators.clock import Clock, system_clock
from sync_pipeline.simulators.integrations.admin_api import Admin
from sync_pipeline.simulators.integrations.api import ErrorResponse, Gateway, classify, send_error
from sync_pipeline.simulators.integrations.credentials import CLIENT_ID, CLIENT_SECRET
from sync_pipeline.simulators.integrations.options import Options
from sync_pipeline.simulators.integrations.restaurants import Restaurants


class QuSimulator(Simulator[Options]):
    """A gateway that listens on a port of its own.

        with QuSimulator(Restaurants(scale=0.05)) as qu:
            client = QuClient(qu.url, qu.client_id, qu.client_secret)

    Stopped and started again it listens on the same port, with the menus as they were left.

    Attributes:
        client_id: that it accepts.
        client_secret: that it accepts with it.
        restaurants: the menus, and the edits: `move`, `reprice`, `remove`, `mark_deleted`, `touch`.
        options: assign to them at any time.
        faults: add faults with `faults.add(Fault(...))`; their `type` may be `menus`, `locations` or
            `authentication`.
        stats: counts calls since the start or the last `stats.reset()`.
        gateway: can expire its tokens.
    """

    def __init__(
        self,
        restaurants: Restaurants,
        options: Options | None = None,
        *,
        credentials: tuple[str, str] = (CLIENT_ID, CLIENT_SECRET),
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock = system_clock,
    ) -> None:
        super().__init__(options if options is not None else Options())
        self.client_id, self.client_secret = credentials
        self.restaurants = restaurants
        self.gateway = Gateway(restaurants, self.options, credentials=credentials, clock=clock)
        admin = Admin(
            restaurants=restaurants,
            gateway=self.gateway,
            options=self.options,
            faults=self.faults,
            stats=self.stats,
        )
        self._serve(
            [*self.gateway.routes(), *admin.routes()],
            classify=classify,
            clock=clock,
            host=host,
            port=port,
            exception_handlers={ErrorResponse: send_error},
        )

    @property
    def url(self) -> str:
        """The root of the gateway, the value of `QU_API_URL`."""
        return self._server.url
