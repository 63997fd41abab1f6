from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest

from stopcli.errors import CheckpointError

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture
def model() -> Any:
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(200), keras.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")
    model.optimizer.build(model.trainable_variables)
    return model


def test_a_file_that_carries_code_is_refused(tmp_path: Path) -> None:
    import keras

    from stopcli.training.model_files import load_model

    path = tmp_path / "evil.keras"
    ran = tmp_path / "ran"
    code = keras.layers.Lambda(lambda x, where=str(ran): (open(where, "w"), x)[1], output_shape=(2,))  # noqa: PTH123, SIM115
    crafted = keras.Sequential([keras.Input((2,)), code])
    crafted.save(path)
    ran.unlink(missing_ok=True)
    with pytest.raises(CheckpointError, match=r"evil\.keras: not a model that can be loaded"):
        load_model(path)
    assert not ran.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing", b"not a model"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    from stopcli.training.model_files import load_model

    path = tmp_path / "damaged.keras"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged\.keras: not a model that can be loaded"):
        load_model(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    from stopcli.training.model_files import load_model

    with pytest.raises(CheckpointError, match=r"none\.keras"):
        load_model(tmp_path / "none.keras")


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path: Path, model: Any) -> None:
    from stopcli.training.model_files import load_model, save_model

    path = tmp_path / "checkpoints" / "best.keras"
    save_model(model, path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: '.*best\.keras'"):
            save_model(model, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["best.keras"]
    load_model(path)
