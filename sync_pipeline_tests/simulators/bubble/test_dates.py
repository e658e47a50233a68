"""Instants as texts: what Bubble accepts, and what it writes."""

import pytest

from sync_pipeline.simulators.bubble.dates import iso, midnight, read_moment


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2022-12-30T11:03:11.097Z", "2022-12-30T11:03:11.097Z"),
        ("2022-12-30T11:03:11Z", "2022-12-30T11:03:11.000Z"),
        ("2022-12-30T19:03:11+08:00", "2022-12-30T11:03:11.000Z"),
        ("2022-12-30", "2022-12-30T00:00:00.000Z"),
        ("12/30/2022", "2022-12-30T00:00:00.000Z"),
        ("Fri Dec 30 2022 06:03:11 GMT-0500 (EST)", "2022-12-30T11:03:11.000Z"),
        ("1672398191097", "2022-12-30T11:03:11.097Z"),
        (1672398191097, "2022-12-30T11:03:11.097Z"),
    ],
)
def test_dates_in_any_notation_become_one(value: object, expected: str):
    assert read_moment(value) == expected


@pytest.mark.parametrize(
    "value", ["soon", "", "2022-13-01", "13/13/2022", True, None, [], "12", 1e30]
)
def test_anything_else_is_no_date(value: object):
    assert read_moment(value) is None


def test_midnight_is_that_of_kuala_lumpur():
    assert midnight(1672416000000) == iso(1672416000000) == "2022-12-30T16:00:00.000Z"
    assert midnight(1672415999999) == "2022-12-29T16:00:00.000Z"
