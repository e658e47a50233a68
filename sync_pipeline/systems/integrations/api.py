"""Client of Qu, a point of sale: requests for menus, and what their responses mean.

The format of a menu is in `menu/formats`; what HTTP sources have in common is in `sources/http`.
"""

from functools import partial
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from sync_pipeline.sources.http.body import receive_beginning
from sync_pipeline.sources.http.client import HttpClient, require_credential, require_url
from sync_pipeline.sources.http.oauth import ClientCredentials
from sync_pipeline.sources.http.redaction import Redactor
from sync_pipeline.sources.http.retry import InvalidResponse, RetryPolicy
from sync_pipeline.sources.http.transport import HttpTransport, Response
from sync_pipeline.systems.integrations.menu.formats import QU
from sync_pipeline.systems.integrations.menu.menu import Menu, read_menu
from sync_pipeline.systems.integrations.source_configs import SourceConfig

MENUS = "api/v4/menus"
TOKENS = "api/v4/authentication/oauth2/access-token"
GENERATION = "X-Generation-Time"
ORDER_CHANNEL = "2"
ORDER_TYPE = "1"
"""Defaults for configurations without these parameters."""

_CREDENTIALS = "Check QU_CLIENT_ID and QU_CLIENT_SECRET."


class QuClient(HttpClient):
    """Reads menus; a context manager.

    Args:
        url: root of the gateway, such as `https://gateway-api.qubeyond.com`.
        client_id: of the integration.
        client_secret: of the integration.
        integration: sent as X-Integration, where the gateway requires it.
        retry_policy: of each call.
        requests_per_minute: most calls in any minute; half of them may come at once.
        concurrency: most concurrent calls.

    Raises:
        SettingsError: the URL or a credential is invalid.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: str,
        *,
        integration: str | None = None,
        retry_policy: RetryPolicy | None = None,
        requests_per_minute: float = 300,
        concurrency: int = 4,
    ) -> None:
        root = require_url("QU_API_URL", url, example="https://gateway-api.qubeyond.com")
        for variable, value in [
            ("QU_CLIENT_ID", client_id),
            ("QU_CLIENT_SECRET", client_secret),
            ("QU_INTEGRATION", integration or "-"),
        ]:
            require_credential(variable, value)
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
        }
        credentials = ClientCredentials(
            QU.name,
            f"{root}/{TOKENS}",
            lambda: form,
            secrets=[client_secret],
            remedy=_CREDENTIALS,
        )
        self._transport = HttpTransport(
            QU.name,
            root,
            headers={"X-Integration": integration} if integration else {},
            remedy=_remedy,
            retry_policy=retry_policy or RetryPolicy(),
            requests_per_minute=requests_per_minute,
            concurrency=concurrency,
            secrets=credentials.secrets,
            auth=credentials,
        )
        super().__init__("qu-client", self._transport, self._transport.traffic)

    def menu(self, config: SourceConfig, previous: str | None = None) -> Menu | None:
        """The menu of a configuration, to be closed by the caller; None if it is still the previous one.

        Args:
            config: with the parameters `brand` and `establishment`, and `order_channel` and `order_type` if
                they differ from the defaults.
            previous: generation of the menu that was merged last.

        Raises:
            UnusableConfig: a parameter is missing.
            SourceRefused: credentials or permissions are not accepted, or there is no such menu.
            SourceBroken: responses kept being cut short or not JSON; its subclass NotAMenu: valid JSON,
                but not a menu.
            SourceUnavailable: the source does not answer.
        """
        return self._event_loop.call(
            partial(self._menu, _query(config, previous), config, previous)
        )

    def generation(self, config: SourceConfig, previous: str | None = None) -> str | None:
        """The generation of a configuration's menu, a time; None if it is the previous one.

        The menu itself is not read. Empty if the response names no generation.

        Raises:
            UnusableConfig, SourceRefused, SourceBroken, SourceUnavailable: as for `menu`.
        """
        request = partial(
            self._transport.get,
            MENUS,
            read=partial(_generation, previous=previous),
            receive=receive_beginning,
            **_query(config, previous),
        )
        return self._event_loop.call(request)

    async def _menu(
        self, query: dict[str, Any], config: SourceConfig, previous: str | None
    ) -> Menu | None:
        with TemporaryFile() as file:
            read = partial(_read, file=file, config=config, previous=previous)
            return await self._transport.download(MENUS, into=file, read=read, **query)


def _query(config: SourceConfig, previous: str | None) -> dict[str, Any]:
    params = {
        "LocationId": config.param("establishment"),
        "OrderChannelId": config.param("order_channel", ORDER_CHANNEL),
        "OrderTypeId": config.param("order_type", ORDER_TYPE),
    }
    if previous:
        params["PrevGenerationTime"] = previous
    return {"params": params, "headers": {"Company-Id": config.param("brand")}}


def _read(
    response: Response, *, file: BinaryIO, config: SourceConfig, previous: str | None
) -> Menu | None:
    if response.size == 0:
        return _unchanged(previous)
    generation = response.headers.get(GENERATION, "")
    return read_menu(
        file,
        QU,
        config,
        generation=generation,
        calls=response.attempts,
        redact=Redactor(*response.secrets),
    )


def _generation(response: Response, *, previous: str | None) -> str | None:
    if response.size == 0:
        return _unchanged(previous)
    generation = response.headers.get(GENERATION, "")
    return None if generation and generation == previous else generation


def _unchanged(previous: str | None) -> None:
    # An empty response means “unchanged” only if the request named a previous generation.
    if not previous:
        raise InvalidResponse("an empty response to a first request for a menu")


def _remedy(status: int, _: str) -> str:
    match status:
        case 0:
            return "Try again later, or check QU_API_URL; a call is tried for SYNC_SOURCE_OUTAGE seconds."
        case 401:
            return f"It accepts the credentials, but not the token that it issued for them. {_CREDENTIALS}"
        case 403:
            return (
                "The integration is not allowed for this establishment: have it enabled there, and check "
                "QU_INTEGRATION, and brand and establishment of the source configuration."
            )
        case _:
            return (
                "Check QU_API_URL, and brand, establishment, order channel and order type of the source "
                "configuration."
            )
