"""The Graph simulator: start, control and stop it from a test or the demo."""

from sync_pipeline.simulators.base import Simulator
from sync_pipeline.simulators.clock import Clock, system_clock
from sync_pipeline.simulators.meta_assets.accounts import Accounts
from sync_pipeline.simulators.meta_assets.admin_api import Admin
from sync_pipeline.simulators.meta_assets.api import VERSION, GraphAPI, classify
from sync_pipeline.simulators.meta_assets.credentials import SYSTEM_TOKEN
from sync_pipeline.simulators.meta_assets.errors import ArmedErrors
from sync_pipeline.simulators.meta_assets.options import Options


class MetaSimulator(Simulator[Options]):
    """A Graph API that listens on a port of its own.

        with MetaSimulator() as meta:
            client = Client(meta.url, token=meta.token)

    Stopped and started again it listens on the same port, with the accounts as they were left.

    Attributes:
        token: may read every account of `credentials`; each has one of its own too.
        options: assign to them at any time.
        errors: arm Graph's own errors with `errors.arm(GraphError(...))`.
        faults: add faults of the transport with `faults.add(Fault(...))`.
        stats: counts calls since the start or the last `stats.reset()`.
        accounts: numbers and tokens, and the edits of both.
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        accounts: Accounts | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock = system_clock,
    ) -> None:
        super().__init__(options if options is not None else Options())
        self.token = SYSTEM_TOKEN
        self.errors = ArmedErrors()
        self.accounts = accounts if accounts is not None else Accounts.sample()
        api = GraphAPI(self.accounts, self.options, self.errors, clock=clock)
        admin = Admin(
            accounts=self.accounts,
            options=self.options,
            armed=self.errors,
            faults=self.faults,
            stats=self.stats,
        )
        self._serve(
            [*api.routes(), *admin.routes()],
            classify=classify,
            clock=clock,
            host=host,
            port=port,
        )

    @property
    def url(self) -> str:
        """The root with its version, the value of `META_GRAPH_URL`."""
        return f"{self._server.url}/{VERSION}"
