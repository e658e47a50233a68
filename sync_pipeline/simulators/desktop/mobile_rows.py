"""All rows of the mobile app's database: what an earlier sync left there, and what users entered.

The entry point to the app's data. The earlier sync brought the master data only; some of it has
changed since on either side. What users entered is in `mobile_entries`.
"""

from datetime import UTC, datetime, time, timedelta
from random import Random

from sync_pipeline.simulators.desktop import value_generators
from sync_pipeline.simulators.desktop.desktop_rows import master_rows
from sync_pipeline.simulators.desktop.jobs import unique_jobs
from sync_pipeline.simulators.desktop.mobile_entries import entries
from sync_pipeline.simulators.desktop.row_counts import RowCounts
from sync_pipeline.simulators.desktop.value_generators import TODAY, Row
from sync_pipeline.simulators.seeded_random import seeded_random

CLIENTS_KNOWN = 0.96
OLDER_CLIENTS = 8
OLDER_STAFF = 2

_NOW = datetime.combine(TODAY, time(), UTC)
_EARLIER_SYNC = _NOW - timedelta(days=4)
_EDITED = _NOW - timedelta(days=1)


def mobile_rows(seed: int, scale: float) -> dict[str, list[Row]]:
    """The rows of the app's tables that are not empty, by table, parents first.

    Args:
        seed: that of the desktop, so that both have the same clients.
        scale: that of the desktop.
    """
    counts = RowCounts.at(scale)
    synced = _synced(seed, counts)
    entered = entries(seed, synced["climaster"], next(unique_jobs(seed, counts)))
    rng = seeded_random(seed, "moments of entry")
    return synced | {
        table: [row | {"source": "M"} | _entered(rng) for row in rows]
        for table, rows in entered.items()
    }


def _synced(seed: int, counts: RowCounts) -> dict[str, list[Row]]:
    rng = seeded_random(seed, "earlier sync")
    rows = master_rows(seed, counts)
    clients = rows["climaster"]
    rows["climaster"] = clients = clients[: round(len(clients) * CLIENTS_KNOWN)]
    stamp = {"created_at": _EARLIER_SYNC, "updated_at": _EARLIER_SYNC}
    for row in (row for table in rows.values() for row in table):
        row.update(stamp, source=value_generators.one(rng, ("D", None)))
    # Twelve rows differ from the desktop's now; a mobile user changed this one.
    without_mail = next(client for client in clients if client["clientmail"] is None)
    without_mail |= {"clientmail": "from.the.app@example.com", "updated_at": _EDITED}
    others = [client for client in clients if client is not without_mail]
    for client in rng.sample(others, OLDER_CLIENTS):
        client["clientphone"] = value_generators.phone(rng)
    for employee in rng.sample(rows["mbstaff"], OLDER_STAFF):
        employee["phonumber"] = value_generators.phone(rng)
    rows["conmaster"][0]["conphone"] = value_generators.phone(rng)
    return rows


def _entered(rng: Random) -> Row:
    created = _NOW - timedelta(seconds=int(rng.random() * 30 * 86_400))
    is_edited = rng.random() < 0.2
    edited = created + timedelta(seconds=int(rng.random() * 86_400)) if is_edited else created
    return {"created_at": created, "updated_at": min(edited, _NOW)}
