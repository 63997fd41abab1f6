"""Learning rates that drop after given epochs: how they are written, and how the published ones are scaled."""

from typing import Any

from stopcli.errors import ConfigError
from stopcli.quantities import agreeing, counted, numbered
from stopcli.schedules.policy import Policy, Settings

# Keras's CIFAR-10 example: (epoch, factor) of 100 epochs; the factor holds for epochs beyond it, counted from 0.
PUBLISHED = ((50, 1e-1), (65, 1e-2), (75, 1e-3), (85, 0.5e-3))
PUBLISHED_EPOCHS = 100

Drops = tuple[tuple[int, float], ...]
"""(epochs, factor), ascending: after so many epochs, the learning rate is the initial one times the factor."""


def published_drops(epochs: int) -> Drops:
    """The published drops, scaled to a training of `epochs` epochs.

    An epoch with index i (from 0) has the factor where i > epoch · epochs / 100, so for 100 epochs the first drop comes
    after epoch 51, counted from 1. Where scaling makes two drops fall together, the later one counts.
    """
    drops: dict[int, float] = {}
    for epoch, factor in PUBLISHED:
        # Whole numbers, because 0.65 · 100 is not quite 65 in floating point.
        after = epoch * epochs // PUBLISHED_EPOCHS + 1
        if after < epochs:
            drops[after] = factor
    return tuple(drops.items())


def parse_drops(text: str, epochs: int) -> Drops:
    """Drops from text such as `51:0.1,66:0.01`; `auto` means the published ones, scaled.

    Raises:
        ConfigError: the text is no such list, or its epochs do not ascend from 1, or a factor is not above 0.
    """
    if text == "auto":
        return published_drops(epochs)
    expected = "'auto' or EPOCHS:FACTOR,… with ascending epochs from 1 and factors > 0, such as 51:0.1,66:0.01"
    try:
        pairs = [part.split(":") for part in text.split(",")]
        drops = tuple((int(epoch), float(factor)) for epoch, factor in pairs)
    except ValueError:
        raise ConfigError("lr_drops", text, expected) from None
    after = [epoch for epoch, _ in drops]
    if after[0] < 1 or after != sorted(set(after)) or not all(0 < factor < float("inf") for _, factor in drops):
        raise ConfigError("lr_drops", text, expected)
    return drops


def describe_drops(drops: Drops) -> str:
    """Drops in words: `×0.1 after epoch 51, ×0.01 after 66`."""
    texts = [f"×{factor:g} after {'' if i else 'epoch '}{epoch}" for i, (epoch, factor) in enumerate(drops)]
    return ", ".join(texts) or "no drop"


class StepDecay(Policy):
    """Constant but for drops after given epochs."""

    reads = ("learning_rate", "lr_drops")

    def depends_on_epochs(self, settings: Settings) -> bool:
        return bool(settings.lr_drops == "auto")

    def warnings(self, settings: Settings) -> list[str]:
        late = [epoch for epoch, _ in parse_drops(settings.lr_drops, settings.epochs) if epoch >= settings.epochs]
        if not late:
            return []
        return [
            f"lr_drops: {agreeing(len(late), 'the drop', 'the drops')} after {numbered('epoch', late)} "
            f"{agreeing(len(late), 'comes', 'come')} too late for a training of {counted(settings.epochs, 'epoch')}"
        ]

    def describe(self, settings: Settings) -> str:
        drops = describe_drops(parse_drops(settings.lr_drops, settings.epochs))
        scaled = settings.lr_drops == "auto" and published_drops(settings.epochs) != published_drops(PUBLISHED_EPOCHS)
        source = f" (the published drops of {PUBLISHED_EPOCHS} epochs, scaled to {settings.epochs})" if scaled else ""
        return f"learning rate {settings.learning_rate:g}, {drops}{source}"

    def schedule(self, settings: Settings, steps_per_epoch: int) -> Any:
        import keras

        rate, drops = settings.learning_rate, parse_drops(settings.lr_drops, settings.epochs)
        if not drops:
            return None
        # Keras keeps a rate up to and including its boundary, counted in updates before.
        boundaries = [epoch * steps_per_epoch - 1 for epoch, _ in drops]
        rates = [rate, *(rate * factor for _, factor in drops)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)
