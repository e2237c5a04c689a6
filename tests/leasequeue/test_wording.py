"""How answers are put into words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from leasequeue.admin.wording import short_time


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (-1.0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.97, "10 s"),
        (59.6, "1 min 0 s"),
        (timedelta(minutes=3, seconds=20), "3 min 20 s"),
        (timedelta(hours=5, minutes=3, seconds=59), "5 h 3 min"),
        (timedelta(days=12, hours=4), "12 d 4 h"),
    ],
)
def test_a_length_of_time_is_told_in_its_two_largest_units(span: timedelta | float, told: str) -> None:
    assert short_time(span) == told
