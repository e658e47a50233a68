"""Rows as a table; one that is wider than the terminal is not squeezed, its rows become paragraphs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sync_pipeline.merge.preview import shortened

Row = Mapping[str, Any]


def cut_short(console: Console, count: int, limit: int) -> None:
    """Note that a list may be longer than its limit."""
    if count >= limit:
        console.print(f"The first {limit:,} are shown; see more with --limit.", style="dim")


def listing(
    console: Console,
    rows: Iterable[Row],
    names: Sequence[str],
    *,
    empty: str,
    heading: int = 2,
    right: Sequence[str] = (),
) -> None:
    """Rows as a table, or as paragraphs where that is too wide, or a sentence when there are none.

    Columns that are empty throughout are left out. The first `heading` columns head a paragraph; those in
    `right` are numbers.
    """
    found = [{name: as_text(row.get(name)) for name in names} for row in rows]
    if not found:
        console.print(empty)
        return
    table = plain_table()
    filled = [name for name in names if any(row[name] for row in found)]
    for name in filled:
        number = name in right or all(row[name].isdecimal() for row in found)
        table.add_column(name.replace("_", " "), justify="right" if number else "left")
    for row in found:
        table.add_row(*(row[name] for name in filled))
    if fits(console, table):
        console.print(table)
        return
    for row in found:
        console.print("  ".join(row[name] for name in names[:heading] if row[name]), style="bold")
        rest = (f"{name.replace('_', ' ')} {row[name]}" for name in names[heading:] if row[name])
        console.print(indented("  ".join(rest)))


def plain_table(title: str | None = None) -> Table:
    """A table without lines but one below its head."""
    title_options: dict[str, Any] = {"title_justify": "left", "title_style": "bold"}
    return Table(
        title=title, **title_options, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False
    )


def indented(text: str, by: int = 4, *, style: str = "") -> Padding:
    """Text with a margin on its left, however often it wraps."""
    return Padding(Text(text, style=style), (0, 0, 0, by), expand=False)


def fits(console: Console, table: Table) -> bool:
    """Whether a table is no wider than the terminal."""
    endless = console.options.update(max_width=10_000)
    return Measurement.get(console, endless, table).maximum <= console.width


def as_text(value: Any) -> str:
    """A value as a table shows it: keys without their names, moments without fractions, nothing for null."""
    if isinstance(value, Mapping):
        text = ", ".join(shortened(v) for v in value.values())
        return text if len(text) <= 120 else text[:119] + "…"
    if hasattr(value, "strftime"):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return "" if value is None else str(value)
