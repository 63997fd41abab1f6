"""Keras's dtype policy, in which layers that name none of their own compute: set for a block, and put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stopcli.configs.precision import FLOAT32, PrecisionName, policy_name
from stopcli.errors import ConfigError


@contextmanager
def dtype_policy(policy: Any = None) -> Iterator[None]:
    """Let layers that the block makes have a policy; afterwards Keras has that of before, and its floatx, whatever the
    block has set.

    Args:
        policy: Keras's, or its name; None for that of before.
    """
    import keras

    before, floatx = keras.config.dtype_policy(), keras.config.floatx()
    if policy is not None:
        keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        # That of inputs, losses and metrics, in the whole process.
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(before)


@contextmanager
def requested_policy(precision: PrecisionName, file: str, own: Any = None) -> Iterator[None]:
    """`dtype_policy` around code of a user's file: the policy of a precision, but in float32 that of the file.

    Args:
        file: its name.
        own: the policy that the file has set; None where it has set none.

    Raises:
        ConfigError: the block has set another policy than the one of the precision.
    """
    import keras

    requested = None if precision == FLOAT32 else keras.DTypePolicy(policy_name(precision))
    with dtype_policy(own if requested is None else requested):
        yield
        now = keras.config.dtype_policy()
    if requested is not None and now != requested:
        raise ConfigError(
            "precision",
            precision,
            f"{FLOAT32}, because {file} sets Keras's dtype policy itself, to {now.name}",
            hint="Without keras.config.set_dtype_policy in the file, the setting decides.",
        )
