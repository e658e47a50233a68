"""A desktop database in another encoding, or in none: letters arrive, and what is no text is rejected."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString
from uuid import uuid4

import pytest
from psycopg import sql

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.postgres.connect import connect
from sync_pipeline.simulators.desktop.schema import create_desktop
from sync_pipeline_tests.fixtures.desktop import Practice, Side, counted
from sync_pipeline_tests.systems.desktop.sample_rows import job

MAKE: LiteralString = "create database {} encoding {} locale 'C' template template0"


@contextmanager
def desktop_in(encoding: str, server: EmbeddedServer) -> Iterator[str]:
    """A desktop database whose server stores text in an encoding."""
    name = f"desktop_{uuid4().hex[:12]}"
    with connect(server.dsn()) as admin:
        admin.execute(sql.SQL(MAKE).format(sql.Identifier(name), sql.Literal(encoding)))
        with connect(server.dsn(name)) as connection:
            create_desktop(connection)
        yield server.dsn(name)
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@contextmanager
def beside(office: Practice, encoding: str, server: EmbeddedServer) -> Iterator[Practice]:
    """The office with another desktop database."""
    with desktop_in(encoding, server) as dsn:
        office.desktop.connection.close()
        office.desktop = Side(dsn)
        yield office


@pytest.fixture
def unchecked(office: Practice, desktop_server: EmbeddedServer) -> Iterator[Practice]:
    """An office whose desktop takes any bytes for text, of which the mobile database knows nothing."""
    with beside(office, "SQL_ASCII", desktop_server) as practice:
        yield practice


def rejected(practice: Practice) -> dict[str, object]:
    return practice.mobile.row("select key, reason, payload::text as payload from sync.rejected")


@pytest.mark.parametrize(
    ("encoding", "text"), [("LATIN1", "Façade, Citroën"), ("WIN1252", "„Žofín“ – 20 €")]
)
def test_letters_of_the_desktops_encoding_arrive_as_the_letters_that_they_are(
    office: Practice, desktop_server: EmbeddedServer, encoding: str, text: str
) -> None:
    with beside(office, encoding, desktop_server) as practice:
        practice.desktop.insert("jobshead", **job(work_desc=text))
        result = practice.forward("jobshead")["jobshead"]

    assert counted(result) == {"read": 1, "inserted": 1}
    assert office.mobile.value("select work_desc from jobshead") == text


def test_bytes_that_are_no_text_cost_their_row_alone_until_they_are_repaired(
    unchecked: Practice,
) -> None:
    unchecked.desktop.insert("jobshead", **job(1, work_desc="Façade"))
    unchecked.desktop.insert("jobshead", **job(2))
    unchecked.desktop.run(r"update jobshead set work_desc = E'Fa\xe7ade' where job_id = 2")

    first = unchecked.forward("jobshead")["jobshead"]
    found = rejected(unchecked)
    unchecked.desktop.run("update jobshead set work_desc = 'Fassade' where job_id = 2")
    second = unchecked.forward("jobshead")["jobshead"]

    assert counted(first) == {"read": 2, "inserted": 1, "rejected": 1}
    assert found["key"] == {"job_id": 2, "sporg_id": 1001}
    expected = r"2, 1001: work_desc → work_desc: b'Fa\xe7ade' is binary, not text"
    assert found["reason"] == expected
    assert r"b'Fa\\xe7ade'" in str(found["payload"])
    assert counted(second) == {"read": 2, "inserted": 1, "unchanged": 1}
    assert unchecked.mobile.rows("select * from sync.rejected") == []
    texts = unchecked.mobile.rows("select work_desc from jobshead order by job_id")
    assert [row["work_desc"] for row in texts] == ["Façade", "Fassade"]


def test_ranges_are_read_also_where_bytes_that_are_no_text_are_part_of_the_key(
    unchecked: Practice,
) -> None:
    unchecked.desktop.run(
        "insert into taskchecklist (org_id, loc_id, task_id, checklistdesc)"
        " select 1, 1, 101, 'paper ' || n from generate_series(1, 600) n"
        r" union all select 1, 1, 101, E'papi\xe9r'"
    )
    first = unchecked.forward("taskchecklist")["taskchecklist"]
    still = unchecked.forward("taskchecklist")["taskchecklist"]
    unchecked.desktop.run(
        "update taskchecklist set comments = 'seen' where checklistdesc = 'paper 7'"
    )

    moved = unchecked.forward("taskchecklist")["taskchecklist"]

    assert counted(first) == {"read": 601, "inserted": 600, "rejected": 1}
    expected = r"task_id '101': checklistdesc → checklistdesc: b'papi\xe9r' is binary, not text"
    assert rejected(unchecked)["reason"] == expected
    assert (first.metadata["ranges"] > 2, counted(still)) == (True, {})
    assert (moved.metadata["ranges_moved"], moved.counts.updated) == (1, 1)
    assert moved.counts.read < 300
