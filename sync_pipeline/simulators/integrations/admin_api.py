"""The admin API below `/_simulator`: edits menus and faults from another process."""

from collections.abc import Iterable

from sync_pipeline.simulators.admin_api import Action, AdminApi
from sync_pipeline.simulators.faults import Faults
from sync_pipeline.simulators.integrations.api import Gateway
from sync_pipeline.simulators.integrations.options import Options
from sync_pipeline.simulators.integrations.restaurants import Restaurants
from sync_pipeline.simulators.stats import Stats


class Admin(AdminApi):
    """The routes of the admin API."""

    rejected = (ArithmeticError, *AdminApi.rejected)  # a price that is no number

    def __init__(
        self,
        *,
        restaurants: Restaurants,
        gateway: Gateway,
        options: Options,
        faults: Faults,
        stats: Stats,
    ) -> None:
        super().__init__(options=options, faults=faults, stats=stats)
        self._restaurants = restaurants
        self._gateway = gateway

    def actions(self) -> Iterable[tuple[str, str, Action]]:
        """Edits of menus; a body has the arguments of the method of `Restaurants` of that name."""
        restaurants = self._restaurants
        return [
            ("POST", "expire-tokens", lambda _: self._gateway.expire_tokens()),
            ("POST", "move", lambda body: {"path": restaurants.move(**body)}),
            ("POST", "reprice", lambda body: restaurants.reprice(**body)),
            ("POST", "remove", lambda body: restaurants.remove(**body)),
            ("POST", "mark-deleted", lambda body: restaurants.mark_deleted(**body)),
            ("POST", "touch", lambda body: {"generation": restaurants.touch(**body)}),
        ]
