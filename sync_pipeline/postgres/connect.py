"""Connections to PostgreSQL, and connection strings in other formats.

All code of this package connects here: the same session settings everywhere, one line per failure, no
password in any message. SQL does not belong here, nor does the choice of the database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo
from psycopg.rows import TupleRow, dict_row

from sync_pipeline.errors import SettingsError, TargetUnavailable
from sync_pipeline.postgres.errors import connection_message

if TYPE_CHECKING:
    from sqlalchemy import URL

Connection = psycopg.Connection[Any]
"""A session whose rows are plain tuples of anything."""

Statement = LiteralString | sql.SQL | sql.Composed


def scalar(
    connection: Connection,
    query: Statement,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
) -> Any:
    """The first value of a query's first row; None when it has no row."""
    row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None


def dicts(
    connection: Connection,
    query: Statement,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """The rows of a query by column, whatever the connection's row factory is."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, parameters).fetchall()


_SECRETS = frozenset(
    {"password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret"}
)

_MAIN = frozenset({"host", "port", "user", "password", "dbname"})

# A dead peer is noticed after a minute; the connection string may override this.
_KEEPALIVES = {
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}

# Tables named without a schema are ours in public, also for a role that is called like one of our schemas,
# which "$user" would put first. The role's own path stays behind it, for the functions of triggers.
_SETTINGS = """
    select set_config(name, value, false) from unnest(%s::text[], %s::text[]) s(name, value)
    union all
    select set_config(
        'search_path', concat_ws(', ', 'public', nullif(current_setting('search_path'), '')), false
    )
"""


def connect(
    dsn: str,
    *,
    application_name: str = "sync_pipeline",
    statement_timeout: timedelta = timedelta(minutes=10),
    lock_timeout: timedelta = timedelta(seconds=30),
    idle_in_transaction_timeout: timedelta = timedelta(minutes=5),
    connect_timeout: timedelta = timedelta(seconds=10),
    variable: str = "SYNC_TARGET_DSN",
) -> psycopg.Connection[TupleRow]:
    """Open a session in autocommit with our settings: UTC, ISO dates, UTF8, bounded waits, keepalives.

    Parameters in the connection string (`connect_timeout`, `keepalives`, `application_name` ...) win.
    Session settings are made by a statement: connection poolers refuse them as startup parameters.

    Args:
        dsn: libpq URI or `key=value` string.
        application_name: shown in `pg_stat_activity`.
        statement_timeout: how long one statement may take, `COPY` included; zero for no limit.
        lock_timeout: how long one statement may wait for a lock; zero for no limit.
        idle_in_transaction_timeout: how long a transaction may sit idle; zero for no limit.
        connect_timeout: how long to try each of the server's addresses, in whole seconds.
        variable: the environment variable that the string came from, for messages.

    Raises:
        SettingsError: `dsn` is not a connection string.
        TargetUnavailable: no session could be had.
    """
    given = _parse(dsn, variable)
    defaults = {
        **_KEEPALIVES,
        "application_name": application_name,
        "connect_timeout": str(max(1, round(connect_timeout.total_seconds()))),
    }
    settings = {
        "timezone": "UTC",
        "datestyle": "ISO, YMD",  # psycopg reads moments in no other style
        "statement_timeout": _milliseconds(statement_timeout),
        "lock_timeout": _milliseconds(lock_timeout),
        "idle_in_transaction_session_timeout": _milliseconds(idle_in_transaction_timeout),
    }
    try:
        return _open(defaults | given | {"client_encoding": "UTF8"}, settings)
    except psycopg.Error as error:
        raise TargetUnavailable(
            f"No connection to {_where(given)}: {connection_message(error)}. Check {variable}."
        ) from error


def sqlalchemy_url(
    dsn: str,
    *,
    driver: Literal["psycopg", "psycopg2"] = "psycopg",
    variable: str = "SYNC_TARGET_DSN",
) -> URL:
    """A connection string as an SQLAlchemy URL; messages name the environment variable that it came from.

    Raises:
        SettingsError: `dsn` is not a connection string.
    """
    return _url(f"postgresql+{driver}", _parse(dsn, variable))


def redact(dsn: str) -> str:
    """The connection string as a URI without its password and other secrets."""
    try:
        given = _parse(dsn, "dsn")
    except SettingsError:
        return "(not a connection string)"
    public = {name: value for name, value in given.items() if name not in _SECRETS}
    return _url("postgresql", public).render_as_string(hide_password=False)


def _open(conninfo: Mapping[str, str], settings: Mapping[str, str]) -> psycopg.Connection[TupleRow]:
    connection = psycopg.connect(make_conninfo("", **conninfo), autocommit=True)
    try:
        connection.execute(_SETTINGS, [list(settings), list(settings.values())])
    except BaseException:
        connection.close()
        raise
    return connection


def _url(drivername: str, given: Mapping[str, str]) -> URL:
    from sqlalchemy import URL  # noqa: PLC0415  takes 0.1 s, which most commands need not wait for

    query = {name: value for name, value in given.items() if name not in _MAIN}
    url = URL.create(
        drivername,
        username=given.get("user"),
        password=given.get("password"),
        database=given.get("dbname"),
        query=query,
    )
    host, port = given.get("host", ""), given.get("port", "")
    # Socket directories and lists of hosts have no place in a URL's authority; the drivers take
    # them from its query.
    if host.startswith(("/", "@")) or "," in host + port:
        return url.update_query_dict({"host": host} | ({"port": port} if port else {}))
    return url.set(host=host or None, port=int(port) if port else None)


def _parse(dsn: str, variable: str) -> dict[str, str]:
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
    except psycopg.ProgrammingError:
        given = {}
    if not given or not _is_plausible(given):
        # libpq's own message quotes the string, so neither it nor the exception is passed on.
        raise SettingsError(
            f"{variable} is not a PostgreSQL connection string. Write it as "
            "postgresql://user:password@host:5432/database, and the characters @ : / ? # % in a "
            "user name or password as %40 %3A %2F %3F %23 %25."
        )
    return given


def _is_plausible(given: Mapping[str, str]) -> bool:
    # A password with an unquoted @ or / still parses, and then part of it passes for the host, the
    # port or the database, which messages name.
    ports = [port for port in given.get("port", "").split(",") if port]
    host = given.get("host", "").removeprefix("@")  # which marks an abstract Unix socket
    return all(port.isdecimal() and 0 < int(port) < 65536 for port in ports) and not (
        "@" in host or "@" in given.get("dbname", "")
    )


def _where(given: Mapping[str, str]) -> str:
    if "service" in given and "host" not in given:
        return f"service {given['service']}"
    named = _libpq_defaults() | dict(given)
    host = named.get("host") or named.get("hostaddr") or "the local socket"
    return f"{host}:{named.get('port') or 5432}/{named.get('dbname') or named.get('user', '')}"


def _libpq_defaults() -> dict[str, str]:
    defaults = ((o.keyword.decode(), o.val) for o in Conninfo.get_defaults())
    return {name: value.decode() for name, value in defaults if value is not None}


def _milliseconds(duration: timedelta) -> str:
    return str(duration // timedelta(milliseconds=1))
