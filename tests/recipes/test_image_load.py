"""Which images a config comes to, before TensorFlow is needed."""

from __future__ import annotations

from typing import Any

import pytest

from stopcli.configs.base import resolve
from stopcli.configs.classifier import CifarResnetConfig
from stopcli.errors import ConfigError
from stopcli.recipes.images import CifarResnet
from stopcli.training.session import NullObserver

RECIPE = CifarResnet()


def loaded(**settings: Any) -> Any:
    return RECIPE.load(resolve(CifarResnetConfig, {"dataset": "digits", **settings}), NullObserver())


@pytest.mark.parametrize(("validation", "rows"), [("test", 1437), ("split", 1293), ("holdout", 1437)])
def test_the_quick_limit_is_no_more_than_there_is(validation: str, rows: int) -> None:
    images = loaded(validation=validation)
    assert images.config.limit == images.data.parts.train.count == rows


def test_a_limit_of_the_users_own_is_not_changed_in_silence() -> None:
    with pytest.raises(ConfigError, match=r"limit: received 1400, expected 10 .* to 1293"):
        loaded(validation="split", limit=1400)
