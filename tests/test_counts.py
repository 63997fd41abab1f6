"""Numbers of things in words."""

from __future__ import annotations

import doctest

from stopcli import quantities
from stopcli.quantities import in_words


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(quantities).failed == 0


def test_many_numbers_are_summed_up() -> None:
    assert in_words([]) == ""
    assert in_words(range(5, 30)) == "5 to 29"
    assert in_words(range(0, 30, 2)) == "0, 2, 4, 6, 8, 10, 12, 14 and 7 more"
