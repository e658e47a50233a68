"""Every environment variable, read in one place.

All are optional: where a source or the target is not named, the embedded server and the simulators
stand in. Nothing but these variables differs between the demo and production.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from sync_pipeline.errors import SettingsError

PROJECT = Path(__file__).resolve().parent.parent
SANDBOXED = "_SYNC_SANDBOXED"


@dataclass(frozen=True)
class Settings:
    """What the environment says.

    Attributes:
        home: where the embedded data, Dagster's home and logs live.
        target_dsn: libpq URI of the target; None: the embedded server.
        dagster_dsn: libpq URI of Dagster's own database; None: one on the embedded server.
        bubble_url: root of the Data API; None: the simulator.
        bubble_token: its token.
        bubble_requests_per_minute: of the app's limit, what this project may use.
        desktop_dsn: libpq URI of the desktop database; None: a simulated one.
        qu_url: root of the point-of-sale gateway, without `/api/v4`; None: the simulator.
        qu_client_id: names us to it.
        qu_client_secret: proves it.
        qu_integration: what the header X-Integration says, where the gateway asks for it.
        meta_url: root of the Graph API with its version; None: the simulator.
        meta_token: the system user's token, for workspaces without one of their own.
        overlap: how long a source may take to show a change; the watermark stays this far behind.
        lock_wait: how long a run waits for another run of the same entity.
        statement_timeout: for each statement of a merge.
        outage: how long the target may be away before a run fails.
        source_outage: how long a call to a source is tried before its entity fails.
        retention: how long bookkeeping is kept.
        standing_in: of the target and the sources, those that are stand-ins; the command line says so to the
            processes that it starts, and nobody else does.
    """

    home: Path
    target_dsn: str | None = field(repr=False)
    dagster_dsn: str | None = field(repr=False)
    bubble_url: str | None
    bubble_token: str | None = field(repr=False)
    bubble_requests_per_minute: int
    desktop_dsn: str | None = field(repr=False)
    qu_url: str | None
    qu_client_id: str | None = field(repr=False)
    qu_client_secret: str | None = field(repr=False)
    qu_integration: str | None
    meta_url: str | None
    meta_token: str | None = field(repr=False)
    overlap: timedelta
    lock_wait: timedelta
    statement_timeout: timedelta
    outage: timedelta
    source_outage: timedelta
    retention: timedelta
    sandboxed: frozenset[str]

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the environment.

        Raises:
            SettingsError: a variable cannot be used; the message names it.
        """
        env = _Reader(environment)
        settings = cls(
            home=Path(env.text("SYNC_HOME") or PROJECT / ".sync").absolute(),
            target_dsn=env.text("SYNC_TARGET_DSN"),
            dagster_dsn=env.text("SYNC_DAGSTER_DSN"),
            bubble_url=env.text("BUBBLE_API_URL"),
            bubble_token=env.text("BUBBLE_API_TOKEN"),
            bubble_requests_per_minute=env.number("BUBBLE_REQUESTS_PER_MINUTE", 900),
            desktop_dsn=env.text("DESKTOP_DSN"),
            qu_url=env.text("QU_API_URL"),
            qu_client_id=env.text("QU_CLIENT_ID"),
            qu_client_secret=env.text("QU_CLIENT_SECRET"),
            qu_integration=env.text("QU_INTEGRATION"),
            meta_url=env.text("META_GRAPH_URL"),
            meta_token=env.text("META_ACCESS_TOKEN"),
            overlap=env.seconds("SYNC_OVERLAP", 300),
            lock_wait=env.seconds("SYNC_LOCK_WAIT", 120),
            statement_timeout=env.seconds("SYNC_STATEMENT_TIMEOUT", 600),
            outage=env.seconds("SYNC_OUTAGE", 120),
            source_outage=env.seconds("SYNC_SOURCE_OUTAGE", 120),
            retention=timedelta(days=env.number("SYNC_RETENTION_DAYS", 90)),
            sandboxed=frozenset((env.text(SANDBOXED) or "").split()),
        )
        settings.check_pairs()
        return settings

    def check_pairs(self) -> None:
        """Refuse a source that is named without what opens it.

        Raises:
            SettingsError: one of a pair of variables is missing.
        """
        if bool(self.bubble_url) != bool(self.bubble_token):
            missing = "BUBBLE_API_TOKEN" if self.bubble_url else "BUBBLE_API_URL"
            raise SettingsError(
                f"{missing} is not set; BUBBLE_API_URL and BUBBLE_API_TOKEN go together"
            )
        if self.desktop_dsn and self.desktop_dsn == self.target_dsn:
            raise SettingsError(
                "DESKTOP_DSN and SYNC_TARGET_DSN name the same database, whose tables would be synced with"
                " themselves"
            )
        qu = {
            "QU_API_URL": self.qu_url,
            "QU_CLIENT_ID": self.qu_client_id,
            "QU_CLIENT_SECRET": self.qu_client_secret,
        }
        if any(qu.values()) and not all(qu.values()):
            missing = next(name for name, value in qu.items() if not value)
            raise SettingsError(f"{missing} is not set; {', '.join(qu)} go together")
        if self.meta_token and not self.meta_url:
            raise SettingsError("META_GRAPH_URL is not set, but META_ACCESS_TOKEN is")
        for name, url, example in (
            ("BUBBLE_API_URL", self.bubble_url, "https://app.example.com/version-live/api/1.1"),
            ("QU_API_URL", self.qu_url, "https://gateway-api.qubeyond.com"),
            ("META_GRAPH_URL", self.meta_url, "https://graph.facebook.com/v23.0"),
        ):
            if url and not url.startswith(("http://", "https://")):
                raise SettingsError(f"{name} is not a URL; it looks like {example}")

    def missing(self, system: str) -> str | None:
        """The variable that would name the source of a system that can be simulated; None where it is set."""
        variable, value = {
            "bubble": ("BUBBLE_API_URL", self.bubble_url),
            "desktop": ("DESKTOP_DSN", self.desktop_dsn),
            "integrations": ("QU_API_URL", self.qu_url),
            "meta_assets": ("META_GRAPH_URL", self.meta_url),
        }.get(system, (None, None))
        return variable if variable and not value else None

    def check_reverse(self) -> None:
        """Refuse to merge what the embedded target holds into a desktop database that somebody named.

        Raises:
            SettingsError: the target is a stand-in and the desktop database is not.
        """
        if "target" in self.sandboxed and self.desktop_dsn and "desktop" not in self.sandboxed:
            raise SettingsError(
                "SYNC_TARGET_DSN is not set, and what the embedded target holds may be invented: it is not"
                " written into the database that DESKTOP_DSN names; set SYNC_TARGET_DSN too"
            )

    def database(self, variable: str) -> str:
        """The DSN of a database by the variable that names it.

        Raises:
            SettingsError: it is not set.
        """
        known = {"SYNC_TARGET_DSN": self.target, "DESKTOP_DSN": self.desktop}
        if variable in known:
            return known[variable]()
        dsn = os.environ.get(variable, "").strip()
        if not dsn:
            raise SettingsError(f"{variable} is not set; it is the libpq URI of a source database")
        return dsn

    def desktop(self) -> str:
        """The desktop database's DSN.

        Raises:
            SettingsError: there is none, and no simulated one was made for this process.
        """
        if self.desktop_dsn:
            return self.desktop_dsn
        raise SettingsError(
            "DESKTOP_DSN is not set and no simulated desktop was made here; set it, or start through"
            " `sync-pipeline up`, `demo` or `sync`"
        )

    def target(self) -> str:
        """The target's DSN.

        Raises:
            SettingsError: there is none, and no embedded server was started for this process.
        """
        if self.target_dsn:
            return self.target_dsn
        raise SettingsError(
            "SYNC_TARGET_DSN is not set and no embedded server was started here; set it, or start through"
            " `sync-pipeline up`, `demo` or `sync`"
        )


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str) -> str | None:
        return self._environment.get(name, "").strip() or None

    def number(self, name: str, default: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        if not value.isdecimal() or int(value) == 0:
            raise SettingsError(f"{name} must be a whole number above zero; it is {value!r}")
        return int(value)

    def seconds(self, name: str, default: int) -> timedelta:
        return timedelta(seconds=self.number(name, default))
