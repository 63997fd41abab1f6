"""How two models differ on the same test rows, in words."""

from __future__ import annotations

from stopcli.runs.headline import Headline
from stopcli.runs.summary import ModelDifference
from stopcli.stats.differences import p_words, writer_of_differences


def difference_on_test_rows(difference: ModelDifference, headline: Headline) -> str:
    """A difference on the test rows, which its verdict follows.

    >>> by = ModelDifference(rows=89, mean=-0.5, low=-1.8, high=0.7, p=0.4, test="bootstrap p", verdict="worse")
    >>> difference_on_test_rows(by, Headline("rmse", "min", "error", "kg"))
    'test RMSE −0.5000 kg (95 % interval −1.800 to +0.7000; bootstrap p = 0.4) on the same 89 test rows'
    """
    show = writer_of_differences(headline)
    mean = f"test {headline.label} {show(difference.mean)} {headline.unit}".rstrip()
    interval = f"95 % interval {show(difference.low)} to {show(difference.high)}"
    p = p_words(difference.p, difference.test)
    return f"{mean} ({interval}; {p}) on the same {difference.rows:,} test rows"
