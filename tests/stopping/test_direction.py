from __future__ import annotations

import pytest

from stopcli.errors import ConfigError
from stopcli.stopping.rule import mode_warning, natural_direction, resolve_direction


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("loss", "min"),
        ("val_loss", "min"),
        ("val_rmse", "min"),
        ("top_5_error", "min"),
        ("accuracy", "max"),
        ("test_binary_accuracy", "max"),
        ("val_acc", "max"),
        ("AUC", "max"),
        ("valid/loss", "min"),
        ("val_auc_1", "max"),
        ("val_loss_epoch", "min"),
        ("f1_score", "max"),
        ("val_r2_score", "max"),
        ("error_rate", "min"),
        ("binary_crossentropy", "min"),
        ("learning_rate", None),
        ("val_hue", None),
        ("val_score", None),
        ("score", None),
        ("val_neg_mean_squared_error", "max"),
        ("neg_log_loss", "max"),
        ("neg/root/rmse", "max"),
        ("val_neg_rmse", "max"),
        ("neg_max_error", "max"),
        ("negatives_loss", "min"),
        ("val_neg_loss", "min"),
        ("neg_error", "min"),
        ("negative_sampling_loss", "min"),
        ("val/hard_negative_loss", "min"),
        ("neg_elbo_loss", "min"),
        ("1", None),
    ],
)
def test_the_name_tells_the_direction(metric: str, direction: str | None) -> None:
    assert natural_direction(metric) == direction


def test_an_explicit_mode_wins_and_an_unknown_metric_needs_one() -> None:
    assert resolve_direction("val_loss", "max") == "max"
    assert resolve_direction("val_hue", "min") == "min"
    with pytest.raises(ConfigError, match="the name 'val_hue' does not tell which is better"):
        resolve_direction("val_hue", "auto")
    with pytest.raises(ConfigError, match="expected 'auto', 'min' or 'max'"):
        resolve_direction("val_loss", "lowest")


def test_a_contradicting_mode_is_told() -> None:
    assert mode_warning("val_loss", "auto") is None
    assert mode_warning("val_loss", "min") is None
    assert mode_warning("val_hue", "max") is None
    assert mode_warning("val_accuracy", "min") is not None
