from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopcli.errors import ConfigError
from stopcli.quantities import format_duration, parse_duration, parse_save_every


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("45m", 2700),
        ("1h", 3600),
        ("2h30m", 9000),
        ("1.5h", 5400),
        ("1d 12h", 129600),
        ("0.5s", 0.5),
        ("1H", 3600),
    ],
)
def test_lengths_of_time_are_read(text: str, seconds: float) -> None:
    assert parse_duration("time_budget", text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5", "s", "-5s", "30m2h", "5s5s", "1h!", "0s", "0h0m", "nan s", "1e3s"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="time_budget: received"):
        parse_duration("time_budget", text)


@given(st.integers(10, 10**7))
def test_a_length_of_time_is_written_as_it_is_read(seconds: int) -> None:
    assert parse_duration("time_budget", format_duration(seconds)) == seconds


def test_how_often_to_save() -> None:
    assert parse_save_every("auto") == (None, None)
    assert parse_save_every("100") == (100, None)
    assert parse_save_every("30s") == (None, 30.0)
    for text in ("0", "-1", "often", "1.5"):
        with pytest.raises(ConfigError, match="save_every: received"):
            parse_save_every(text)
