"""Rules as a user writes them: `gl:2`, `pq:0.75`, `up:3`, `threshold:0.3`, `patience:200`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stopcli.errors import ConfigError
from stopcli.stopping.limits import Threshold
from stopcli.stopping.patience import Patience
from stopcli.stopping.prechelt import GeneralizationLoss
from stopcli.stopping.rule import Rule
from stopcli.stopping.strips import STRIP, ProgressQuotient, SuccessiveIncreases

EXPECTED = (
    "KIND:VALUE, such as gl:2 (generalization loss, %), pq:0.75 (progress quotient), up:3 (strips that rise), "
    "threshold:0.3, patience:200; pq and up take the epochs of a strip too, as in up:3:10"
)


def parse_rule(text: str, monitor: str = "val_loss", mode: str = "auto", *, setting: str = "stop") -> Rule[Any]:
    """The rule that a text names.

    Args:
        monitor, mode: of `threshold` and `patience`; Prechelt's rules compare val_loss and loss.
        setting: what the text was given as, for the error.

    Raises:
        ConfigError: there is no such rule, or its value is out of its range.
    """
    kind, _, rest = text.partition(":")
    values = rest.split(":") if rest else []
    makers: dict[str, tuple[int, Callable[..., Rule[Any]]]] = {
        "gl": (1, lambda alpha: GeneralizationLoss(float(alpha))),
        "pq": (2, lambda alpha, k=STRIP: ProgressQuotient(float(alpha), int(k))),
        "up": (2, lambda s, k=STRIP: SuccessiveIncreases(int(s), int(k))),
        "threshold": (1, lambda value: Threshold(float(value), monitor, mode)),
        "patience": (1, lambda epochs: Patience(int(epochs), monitor, mode)),
    }
    if kind not in makers or not 1 <= len(values) <= makers[kind][0]:
        raise ConfigError(setting, text, EXPECTED)
    try:
        return makers[kind][1](*values)
    except ValueError:
        raise ConfigError(setting, text, EXPECTED) from None
    except ConfigError as error:
        raise ConfigError(setting, text, f"{error.setting}: {error.expected}") from None
