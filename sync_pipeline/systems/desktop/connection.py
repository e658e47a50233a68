"""Sessions on the desktop database, for merging into it and for reading its bookkeeping."""

from datetime import timedelta

from sync_pipeline.merge.schema.bookkeeping_tables import BOOK_SCHEMA
from sync_pipeline.postgres.connect import Connection, connect
from sync_pipeline.settings import Settings
from sync_pipeline.systems.desktop.settings import SOURCE

VARIABLE = SOURCE.variable


def check_reverse(settings: Settings) -> None:
    """Refuse to merge what the embedded target holds into a desktop database that somebody named.

    Raises:
        SettingsError: the target is sandboxed and the desktop database is not.
    """
    SOURCE.check_reverse(settings, "desktop")


def open_desktop(
    settings: Settings,
    name: str = "sync_pipeline",
    *,
    connect_timeout: timedelta = timedelta(seconds=10),
) -> Connection:
    """Open a session in autocommit, in which our own bookkeeping is found first.

    Raises:
        SettingsError: nobody has named the database.
        TargetUnavailable: it does not answer.
    """
    connection = connect(
        SOURCE.require(settings)[VARIABLE],
        application_name=name,
        statement_timeout=settings.statement_timeout,
        connect_timeout=connect_timeout,
        variable=VARIABLE,
    )
    # `public` belongs to another program: also what the target keeps there is kept in ours here.
    connection.execute("select set_config('search_path', %s, false)", [f"{BOOK_SCHEMA}, public"])
    return connection
