"""The numbers that a network computes in, and how runs of before there was this setting say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from stopcli.configs.base import Option

PrecisionName = Literal["float32", "bfloat16", "float16"]
FLOAT32: PrecisionName = "float32"
Precision = Annotated[
    PrecisionName,
    Option(
        "Numbers that layers compute in; weights stay float32. The 16-bit ones are faster on "
        "hardware that is made for them, and have 2 to 3 digits.",
        "Training",
        ("range",),
    ),
]


def policy_name(precision: str) -> str:
    """Keras's name of the dtype policy of layers that compute in a precision and have float32 weights.

    >>> policy_name("bfloat16"), policy_name("float32")
    ('mixed_bfloat16', 'float32')
    """
    return FLOAT32 if precision == FLOAT32 else f"mixed_{precision}"


def with_precision(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings of a run by name, with `precision` also where the run is of before there was one: such a run computed in
    float32, or in float16 where its `mixed_precision` was true.

    Args:
        prefix: of every name.
    """
    new, old = f"{prefix}precision", f"{prefix}mixed_precision"
    if new in settings:
        return dict(settings)
    precision = "float16" if settings.get(old) is True else FLOAT32
    return {**{name: value for name, value in settings.items() if name != old}, new: precision}
