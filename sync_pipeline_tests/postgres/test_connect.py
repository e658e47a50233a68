"""Sessions and connection strings: what people write in a variable, and the messages for malformed ones."""

import re
import traceback
from datetime import timedelta

import psycopg
import pytest
import sqlalchemy
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.errors import SettingsError, TargetUnavailable
from sync_pipeline.postgres.connect import connect, redact, sqlalchemy_url

ODD = "p@ss:w/rd?#%&= '\"\\é"
ODD_QUOTED = "p%40ss%3Aw%2Frd%3F%23%25%26%3D%20%27%22%5C%C3%A9"

# Strings that libpq refuses, or that it understands otherwise than they were meant.
MALFORMED = {
    "empty": "",
    "not a connection string": "s3cret",
    "SQLAlchemy's spelling": "postgresql+psycopg2://user:s3cret@host/db",
    "another database": "mysql://user:s3cret@host/db",
    "bad percent-encoding": "postgresql://user:%zzs3cret@host/db",
    "unquoted slash": "postgresql://user:s3/cret@host/db",
    "unquoted slash after digits": "postgresql://user:5/s3cret@host/db",
    "unquoted slash before the @": "postgresql://user:5/@s3cret/db",
    "unquoted @": "postgresql://user:p@s3cret@host/db",
    "open quote": "host=h password='s3cret",
    "port in words": "host=h password=s3cret port=abc",
    "port out of range": "postgresql://user:s3cret@host:99999/db",
}


@pytest.fixture(autouse=True)
def no_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"):
        monkeypatch.delenv(name, raising=False)


def shown(connection: psycopg.Connection, *names: str) -> list[str]:
    rows = [connection.execute("SELECT current_setting(%s)", [name]).fetchone() for name in names]
    return [row[0] for row in rows if row]


# -- sessions


def test_a_session_has_our_settings(database: str) -> None:
    with connect(
        database,
        application_name="tried out",
        statement_timeout=timedelta(minutes=2),
        lock_timeout=timedelta(milliseconds=1500),
        idle_in_transaction_timeout=timedelta(0),
    ) as session:
        names = ("timezone", "client_encoding", "application_name", "statement_timeout")
        assert shown(session, *names) == ["UTC", "UTF8", "tried out", "2min"]
        names = ("lock_timeout", "idle_in_transaction_session_timeout")
        assert shown(session, *names) == ["1500ms", "0"]
        assert session.autocommit


def test_settings_outlive_the_rollback_of_a_first_transaction(database: str) -> None:
    with connect(database, lock_timeout=timedelta(seconds=7)) as session:
        session.autocommit = False
        assert session.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        session.execute("SELECT 1")
        session.rollback()
        assert shown(session, "lock_timeout") == ["7s"]


def test_a_statement_that_takes_too_long_is_cancelled(database: str) -> None:
    with (
        connect(database, statement_timeout=timedelta(milliseconds=50)) as session,
        pytest.raises(psycopg.errors.QueryCanceled),
    ):
        session.execute("SELECT pg_sleep(5)")


def test_what_the_string_says_of_the_connection_wins(database: str) -> None:
    dsn = make_conninfo(
        database, application_name="mine", options="-c search_path=mine", keepalives=0
    )
    with connect(dsn) as session:
        assert shown(session, "application_name", "search_path") == ["mine", "public, mine"]
        assert session.info.get_parameters()["keepalives"] == "0"


def test_tables_without_a_schema_are_those_of_public_whatever_the_role_prefers(
    database: str,
) -> None:
    with connect(database) as session:
        session.execute(
            "create schema postgres; create table postgres.note (); create table note ()"
        )
    for path in ('"$user", public', "postgres", "''"):
        alter = sql.SQL("alter role postgres in database {} set search_path = {}")
        with connect(database) as session:
            name = sql.Identifier(session.info.dbname)
            session.execute(alter.format(name, sql.SQL(path)))
        with connect(database) as session:
            assert session.execute(
                "select to_regclass('note') = 'public.note'::regclass"
            ).fetchone() == (True,)


def test_an_odd_password_in_a_uri_is_accepted(server: EmbeddedServer, database: str) -> None:
    with connect(database) as session:
        session.execute("DROP ROLE IF EXISTS odd")
        password = sql.Literal(ODD)
        session.execute(sql.SQL("CREATE ROLE odd LOGIN PASSWORD {}").format(password))
    dbname = conninfo_to_dict(database)["dbname"]
    port = server.running().port
    with connect(f"postgresql://odd:{ODD_QUOTED}@127.0.0.1:{port}/{dbname}") as session:
        assert session.info.user == "odd"


# -- failures


def test_no_server_is_one_line_with_the_place_the_cause_and_the_variable(
    server: EmbeddedServer,
) -> None:
    server_that_is_not = "postgresql://someone:s3cret@127.0.0.1:1/shop"
    with pytest.raises(TargetUnavailable) as raised:
        connect(server_that_is_not, variable="DESKTOP_DSN")
    message = str(raised.value)
    assert message.startswith("No connection to 127.0.0.1:1/shop: ")
    assert "Connection refused" in message
    assert message.endswith("Check DESKTOP_DSN.")
    assert "\n" not in message
    assert "s3cret" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"password": "s3cret"}, "password authentication failed"),
        ({"dbname": "nosuch"}, 'database "nosuch" does not exist'),
        ({"sslmode": "require"}, "SSL"),
        ({"sslmode": "s0metimes"}, "invalid sslmode value"),
        ({"host": "nosuch.invalid"}, "nosuch.invalid"),
        ({"host": "/nonexistent"}, "No such file"),
        ({"port": "1,2", "host": "127.0.0.1,127.0.0.1"}, "Connection refused"),
        ({"options": "-c nosuch=1"}, "nosuch"),
    ],
)
def test_every_refusal_is_one_line_without_the_password(
    change: dict[str, str], cause: str, server: EmbeddedServer
) -> None:
    with pytest.raises(TargetUnavailable, match=re.escape(cause)) as raised:
        connect(make_conninfo(server.dsn(), **change))
    assert "\n" not in str(raised.value)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("dsn", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_string_names_the_variable_and_gives_nothing_away(dsn: str) -> None:
    for use in (connect, sqlalchemy_url):
        with pytest.raises(SettingsError, match="DESKTOP_DSN is not a PostgreSQL") as raised:
            use(dsn, variable="DESKTOP_DSN")
        assert "s3cret" not in "".join(traceback.format_exception(raised.value))
        assert "s3" not in str(raised.value)
    assert redact(dsn) == "(not a connection string)"


# -- other spellings


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:p@h:5433/d",
        f"postgresql://u:{ODD_QUOTED}@h/d",
        "postgresql://u@[::1]:5/d",
        "postgresql://u@%2Frun%2Fpg:5/d",
        "host=@abstract user=u",
        "postgresql://u@h1:1,h2:2/d",
        "service=prod",
        "postgresql://u@h/d?sslmode=require&options=-c%20a%3Db&hostaddr=127.0.0.1",
    ],
)
def test_an_sqlalchemy_url_reaches_the_same_server_even_once_written_out(
    dsn: str, driver: str
) -> None:
    url = sqlalchemy_url(dsn, driver=driver)  # pyright: ignore[reportArgumentType]
    again = sqlalchemy.make_url(url.render_as_string(hide_password=False))
    for engine in (sqlalchemy.create_engine(url), sqlalchemy.create_engine(again)):
        assert engine.dialect.driver == driver
        _, arguments = engine.dialect.create_connect_args(engine.url)
        arguments.pop("context", None)  # psycopg's own, not libpq's
        assert conninfo_to_dict(make_conninfo("", **arguments)) == conninfo_to_dict(dsn)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_sqlalchemy_connects_with_it(driver: str, database: str) -> None:
    url = sqlalchemy_url(database, driver=driver)  # pyright: ignore[reportArgumentType]
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT 1")) == 1
    engine.dispose()


@pytest.mark.parametrize(
    ("dsn", "public"),
    [
        ("postgresql://u:s3cret@h:5433/d", "postgresql://u@h:5433/d"),
        ("host=h password=s3cret dbname=d", "postgresql://h/d"),
        ("password=s3cret", "postgresql://"),
        (f"postgresql://u:{ODD_QUOTED}@h/d?sslmode=require", "postgresql://u@h/d?sslmode=require"),
        ("postgresql://u@h/d?sslpassword=s3cret", "postgresql://u@h/d"),
        ("postgresql://u@%2Frun%2Fpg/d", "postgresql://u@/d?host=%2Frun%2Fpg"),
    ],
)
def test_a_redacted_string_shows_everything_but_secrets(dsn: str, public: str) -> None:
    assert redact(dsn) == public
