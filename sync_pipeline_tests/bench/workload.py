"""What is measured on: one wide entity, and its records in four versions of the source.

The table has a text key, 38 further mapped columns of mixed types, 10 local-only columns and two
secondary indexes. The source is written twice: as pages of 100 records, one response body per line, as
the Bubble client receives them, and as the CSV that the floor copies.
"""

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from sync_pipeline.model.entity import Budget, Entity, Field, Limit, Local
from sync_pipeline.model.system import System
from sync_pipeline.model.types import (
    Type,
    boolean,
    date,
    double,
    integer,
    numeric,
    text,
    text_list,
    timestamptz,
)

PAGE = 100  # records per response, Bubble's most


@dataclass(frozen=True)
class Workload:
    """One state of the source that is merged into what the workload before it left.

    Attributes:
        name: as `--workloads` and the table spell it.
        version: of the source, see `_revised`.
        aim: most that our time may be, in floors.
    """

    name: str
    version: int
    aim: float

    def written(self, rows: int) -> int:
        """Rows of the target that it inserts or updates."""
        return {"load": rows, "nothing": 0, "1%": len(range(0, rows, 100)), "all": rows}[self.name]


WORKLOADS = (
    Workload("load", 0, 3.0),
    Workload("nothing", 0, 1.3),
    Workload("1%", 1, 1.5),
    Workload("all", 2, 3.0),
)
"""In this order, each finds what it needs: the table full, and as the version before left it."""

ANY = Limit(percent=100, floor=10**9)

_MIX: tuple[tuple[str, Type, int], ...] = (
    ("text", text, 12),
    ("whole", integer, 6),
    ("amount", numeric, 6),
    ("ratio", double, 1),
    ("moment", timestamptz, 5),
    ("day", date, 1),
    ("flag", boolean, 4),
    ("list", text_list, 2),
)

ENTITY = Entity(
    name="wide",
    source="Wide",
    key=("wide_id",),
    absent="cleared",
    modified="modified",
    budget=Budget(updates=ANY, blanking=ANY, missing=ANY, hidden_field=10**9),
    columns=(
        Field("wide_id", text, "_id"),
        Field("modified", timestamptz, "Modified Date"),
        *(
            Field(f"{name}_{i}", type_, f"{name.title()} {i}")
            for name, type_, count in _MIX
            for i in range(count)
        ),
        *(Local(f"local_{i}", text if i % 2 else integer) for i in range(10)),
    ),
    indexes=(("text_0",), ("moment_0",)),
)
SYSTEM = System("bench", (ENTITY,))
FIELDS = SYSTEM["wide"].fields

_WORDS = ("north", "harbour", "café", "24/7", "O'Neill", "two words", "blue", "market, old", "x")


@dataclass(frozen=True)
class Files:
    """The source of one size, written out."""

    directory: Path
    rows: int

    def pages(self, version: int) -> Path:
        """Response bodies, one per line."""
        return self.directory / f"{self.rows}-{version}.pages"

    def csv(self, version: int) -> Path:
        """The same records as the floor copies them."""
        return self.directory / f"{self.rows}-{version}.csv"

    def write(self, version: int) -> None:
        """Write one version."""
        with (
            self.pages(version).open("wb") as pages,
            self.csv(version).open("w", newline="") as table,
        ):
            lines = csv.writer(table)
            page: list[dict[str, Any]] = []
            for record in records(self.rows, version):
                lines.writerow([_literal(record.get(f.sources[0])) for f in FIELDS])
                page.append(record)
                if len(page) == PAGE:
                    pages.write(_body(page))
                    page = []
            if page:
                pages.write(_body(page))

    def remove(self, version: int) -> None:
        """Give the room back: a version of a million rows is 2 GB."""
        self.pages(version).unlink()
        self.csv(version).unlink()


def _body(page: list[dict[str, Any]]) -> bytes:
    return orjson.dumps({"response": {"results": page, "count": len(page)}}) + b"\n"


def _literal(value: Any) -> Any:
    if isinstance(value, list):
        return "{" + ",".join(f'"{item}"' for item in value) + "}"
    return value


def records(rows: int, version: int) -> Iterator[dict[str, Any]]:
    """Records of one version, in the order of their creation; empty fields are left out."""
    chance = random.Random(39)
    for i in range(rows):
        yield _revised(_record(i, chance), i, version)


def _record(i: int, chance: random.Random) -> dict[str, Any]:
    bits = chance.getrandbits(64)
    record: dict[str, Any] = {
        "_id": f"{1_600_000_000_000 + i * 977}x{bits % 10**18:018}",
        "Modified Date": _moment(i, "2025"),
    }
    for n in range(12):
        if (bits >> n) & 3:  # one in four is empty
            words = _WORDS[(i + n) % 9], _WORDS[(bits >> n) % 9], str(i)
            record[f"Text {n}"] = " ".join(words)
    for n in range(6):
        record[f"Whole {n}"] = (bits >> n) % 100_000
        record[f"Amount {n}"] = ((bits >> n) % 1_000_000) / 100
    record["Ratio 0"] = (bits % 1_000_003) / 1_000_003
    for n in range(5):
        record[f"Moment {n}"] = _moment(i + n, f"202{n}")
    record["Day 0"] = f"2024-{1 + i % 12:02}-{1 + i % 28:02}"
    for n in range(4):
        record[f"Flag {n}"] = bool((bits >> n) & 1)
    record["List 0"] = [f"{1_600_000_000_000 + n}x{bits >> 5}" for n in range(i % 4)]
    if i % 3 == 0:
        record["List 1"] = ["delivery", "pickup"]
    return record


def _moment(i: int, year: str) -> str:
    return (
        f"{year}-{1 + i % 12:02}-{1 + i // 12 % 28:02}T{i // 7 % 24:02}:{i // 3 % 60:02}"
        f":{i % 60:02}.{i % 1000:03}Z"
    )


def _revised(record: dict[str, Any], i: int, version: int) -> dict[str, Any]:
    """Version 1 changes every hundredth record and version 2 every one: four fields, its date included."""
    if version == 2 or (version == 1 and i % 100 == 0):
        record["Modified Date"] = _moment(i, str(2025 + version))
        record["Text 1"] = f"revised {version} {i}"
        record["Whole 1"] += version
        record["Amount 1"] += version
    return record
