"""What a difference between two arms says, in words and in cells of tables: said in one way by every command."""

from __future__ import annotations

from stopcli.counts import counted
from stopcli.evidence.interval import FEWEST
from stopcli.evidence.paired import PairedDifference
from stopcli.evidence.unpaired import UnpairedDifference
from stopcli.stopping.direction import Direction

# Differences of what float32 holds are larger, unless they are none.
_NOTHING = 1e-9
_TINY = 5e-5
_SMALLEST_P = 0.001

Difference = PairedDifference | UnpairedDifference


def too_few(n: int) -> str:
    """A sentence for arms of fewer seeds than an interval needs."""
    return f"Not distinguishable at n = {n}: fewer than {FEWEST} seeds give no interval."


def compared(label: str, base: str, what: str, found: Difference, better: Direction | None = None) -> str:
    """A sentence on how an arm differs from another, ending with whether the two can be told apart.

    Args:
        what: was measured, such as `test accuracy`.
        found: the arm's values less the other's.
        better: whether less or more of it is better, where either is.

    >>> compared("m2", "simple", "error", PairedDifference(4, -0.02, -0.03, -0.01, 1.0, 0.01), "min")
    'm2 against simple: error -0.0200 (95 % interval -0.0300 to -0.0100; p = 0.01), lower in 4 of 4 seeds: better.'
    """
    return f"{label} against {base}: {what} {_how_much(found)}{_ending(found, better)}."


def verdict(found: Difference, better: Direction | None = None) -> str:
    """In a word or two: `better`, `worse`, or `not distinguishable at n = 5`; without a better direction, `higher` or
    `lower`."""
    if not found.distinguishable:
        return f"not distinguishable at {at_n(found)}"
    if better is None:
        return "higher" if found.mean > 0 else "lower"
    return "better" if (found.mean > 0) == (better == "max") else "worse"


def at_n(found: Difference) -> str:
    """How many seeds, or how many of either arm, were compared."""
    return f"n = {found.n}" if isinstance(found, PairedDifference) else f"n = {found.n} and {found.other_n}"


def pairs_that_agree(found: Difference) -> str:
    """In how many pairs the difference goes the way of the mean: `higher in 4 of 5 seeds`; empty where there are no
    pairs."""
    if not isinstance(found, PairedDifference):
        return ""
    seeds = counted(found.n, "seed")
    if found.share_equal == 1:
        return f"the same in {'all ' if found.n > 1 else ''}{seeds}"
    word, share = ("higher", found.share_above) if found.mean > 0 else ("lower", found.share_below)
    return f"{word} in {round(share * found.n)} of {seeds}"


def difference_cell(found: Difference | None) -> str:
    """A difference with its interval, for a table: `+0.012 [-0.003, +0.020]`; a dash for none."""
    if found is None:
        return "–"
    if found.low is None or found.high is None:
        return f"{signed(found.mean, 3)} ({at_n(found)})"
    return f"{signed(found.mean, 3)} [{signed(found.low, 3)}, {signed(found.high, 3)}]"


def p_cell(p: float | None) -> str:
    """A p-value for a table; below a thousandth its digits say nothing. A dash for none.

    >>> p_cell(0.0312), p_cell(3.3e-38), p_cell(None)
    ('0.031', '< 0.001', '–')
    """
    if p is None:
        return "–"
    return "< 0.001" if p < _SMALLEST_P else f"{p:.2g}"


def signed(value: float, digits: int = 4) -> str:
    """A difference as text: of shares and losses some digits, of epochs and seconds as many as tell anything.

    >>> signed(-0.0123), signed(0.0123, 2), signed(4e-6), signed(-1234.5)
    ('-0.0123', '+0.01', '+4e-06', '-1,234.5')
    """
    if abs(value) >= 10:
        return f"{value:+,.1f}"
    # A loss near 0 is not the same as another because both begin with zeros; what rounding leaves of nothing is.
    if _NOTHING < abs(value) < _TINY:
        return f"{value:+.0e}"
    return f"{value:+.{digits}f}"


def _how_much(found: Difference) -> str:
    agree = pairs_that_agree(found)
    if found.low is None or found.high is None or found.p is None:
        return f"{signed(found.mean)}" + (f", {agree}" if agree else ", in other seeds")
    cell = p_cell(found.p)
    p = f"p {cell}" if cell.startswith("<") else f"p = {cell}"
    if not isinstance(found, PairedDifference):
        interval = f"Welch's 95 % interval {signed(found.low)} to {signed(found.high)}"
        return f"{signed(found.mean)} (unpaired, because the seeds differ; {interval}; {p})"
    if found.share_equal == 1:
        return agree
    if found.low == found.high:
        return f"{signed(found.mean)} in each of {found.n} seeds ({p})"
    return f"{signed(found.mean)} (95 % interval {signed(found.low)} to {signed(found.high)}; {p}), {agree}"


def _ending(found: Difference, better: Direction | None) -> str:
    if found.p is None:
        return f"; {verdict(found)}: fewer than {FEWEST} seeds give no interval"
    return f"{': ' if found.distinguishable else '; '}{verdict(found, better)}"
