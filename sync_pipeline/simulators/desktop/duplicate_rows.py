"""Duplicate rows, as in any table that has no key."""

from collections.abc import Callable
from random import Random

from sync_pipeline.simulators.desktop.value_generators import Row

Change = Callable[[Row], Row]


def repeat(
    rng: Random, rows: list[Row], times: tuple[int, ...], change: Change, *, spared: int = 0
) -> None:
    """Put further rows with the keys of other rows into a list of rows.

    Every other repeated row comes back exactly equal. The rest, and every row that comes back more
    than once, comes back changed.

    Args:
        rng: decides which rows, and where the further ones go: anywhere after the first.
        rows: rows whose keys are all different; the further ones are added to it.
        times: for each key to repeat, how often it is there in the end.
        change: gives a row other values, but not another key.
        spared: how many rows at the beginning are not repeated.
    """
    # From the end, so that what is inserted moves no row that is still to be repeated.
    places = sorted(rng.sample(range(spared, len(rows)), len(times)), reverse=True)
    for number, (place, total) in enumerate(zip(places, times, strict=True)):
        row = rows[place]
        for _ in range(total - 1):
            row = change(row) if total > 2 or number % 2 else dict(row)
            rows.insert(rng.randint(place + 1, len(rows)), row)
