"""The published drops, to the epoch, and how they scale."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopcli.errors import ConfigError
from stopcli.schedules.step_decay import describe_drops, parse_drops, published_drops


def published_factor(index: int) -> float:
    """The factor of an epoch counted from 0, as Keras's CIFAR-10 example draws it up."""
    if index > 85:
        return 0.5e-3
    if index > 75:
        return 1e-3
    if index > 65:
        return 1e-2
    return 1e-1 if index > 50 else 1.0


def factor_at(drops: tuple[tuple[int, float], ...], epoch: int) -> float:
    """The factor of an epoch counted from 1."""
    return next((factor for after, factor in reversed(drops) if epoch > after), 1.0)


def test_a_hundred_epochs_have_the_published_rates() -> None:
    drops = published_drops(100)
    assert [factor_at(drops, epoch) for epoch in range(1, 101)] == [published_factor(i) for i in range(100)]


@given(epochs=st.integers(1, 3000))
def test_other_lengths_drop_at_the_same_shares(epochs: int) -> None:
    drops = published_drops(epochs)
    for epoch in range(1, epochs + 1):
        index = epoch - 1
        expected = 1.0
        for at, factor in ((50, 1e-1), (65, 1e-2), (75, 1e-3), (85, 0.5e-3)):
            if 100 * index > at * epochs:
                expected = factor
        assert factor_at(drops, epoch) == expected


def test_drops_are_read_and_told() -> None:
    assert parse_drops("51:0.1,66:0.01", 100) == ((51, 0.1), (66, 0.01))
    assert parse_drops("auto", 100) == published_drops(100)
    assert describe_drops(published_drops(100)) == (
        "×0.1 after epoch 51, ×0.01 after 66, ×0.001 after 76, ×0.0005 after 86"
    )
    assert describe_drops(()) == "no drop"


@pytest.mark.parametrize("text", ["", "51", "51:0", "0:0.1", "66:0.1,51:0.01", "5:0.1,5:0.2", "5:x", "5:inf", "5:-1"])
def test_what_is_no_list_of_drops_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"lr_drops: received .* expected 'auto' or EPOCHS:FACTOR"):
        parse_drops(text, 100)
