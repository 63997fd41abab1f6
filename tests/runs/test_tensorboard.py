"""A run's tensorboard/ as TensorBoard itself reads it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from events import accumulated, scalars_in

from stopcli.runs.files import Prefix
from stopcli.runs.tensorboard import EPOCHS_NAME, TensorBoardFolder

COLUMNS = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "test_loss", "test_accuracy")
SHOWN = {
    "train": {"epoch_loss": 0, "epoch_accuracy": 1, "epoch_learning_rate": 4},
    "validation": {"epoch_loss": 2, "epoch_accuracy": 3},
}
ROWS = np.random.default_rng(0).random((300, len(COLUMNS)), dtype=np.float32)
ROWS[7, 0], ROWS[8, 2] = np.nan, np.inf


def unused() -> np.ndarray:
    raise AssertionError("the event files hold every epoch")


def opened(
    epochs: int = 0, kept: Mapping[str, Prefix] | None = None, config: str = "epochs = 300\n"
) -> TensorBoardFolder:
    return TensorBoardFolder(Path("tensorboard"), COLUMNS, config, epochs, unused, kept or {})


def closed(folder: TensorBoardFolder) -> dict[str, Prefix]:
    """What of each file was committed, by its path in the folder."""
    kept = {file.path.relative_to("tensorboard").as_posix(): file.commit() for file in folder.files}
    for file in folder.files:
        file.close()
    return kept


def check(epochs: int) -> None:
    """Every tag there is has every epoch once, with the very value."""
    for part, places in SHOWN.items():
        found = scalars_in(Path("tensorboard") / part)
        assert found.keys() == places.keys()
        for tag, place in places.items():
            steps, values = found[tag]
            assert steps == list(range(1, epochs + 1))
            np.testing.assert_array_equal(values, ROWS[:epochs, place])


def test_tensorboard_reads_what_was_recorded_while_it_is_recorded() -> None:
    folder = opened()
    for part in SHOWN:
        assert scalars_in(Path("tensorboard") / part) == {}
    folder.append(1, ROWS[:200])
    check(200)
    for epoch in range(201, 301):
        folder.append(epoch, ROWS[epoch - 1 : epoch])
    check(300)
    closed(folder)
    text = accumulated(Path("tensorboard/train")).Tensors("config")[0].tensor_proto.string_val[0].decode()
    assert "epochs = 300" in text


def test_a_run_that_goes_on_has_every_epoch_once_for_those_who_watched_it_die_too() -> None:
    folder = opened()
    folder.append(1, ROWS[:120])
    kept = {file.path.relative_to("tensorboard").as_posix(): file.commit() for file in folder.files}
    folder.append(121, ROWS[120:200])
    closed(folder)
    # As a kill in the middle of writing leaves it.
    with Path("tensorboard/train", EPOCHS_NAME).open("ab") as file:
        file.write(b"\x5b\x00\x00")
    watching = accumulated(Path("tensorboard/validation"))
    folder = opened(120, kept)
    check(120)
    folder.append(121, ROWS[120:150])
    watching.Reload()
    folder.append(151, ROWS[150:])
    closed(folder)
    check(300)
    # TensorBoard looks again every few seconds; TensorFlow's reader needs one more look where a file was shorter once.
    for _ in range(2):
        watching.Reload()
    assert [event.step for event in watching.Scalars("epoch_loss")] == list(range(1, 301))


def test_further_epochs_keep_the_others_and_show_the_new_config() -> None:
    folder = opened()
    folder.append(1, ROWS[:200])
    kept = closed(folder)
    before = Path("tensorboard/train", EPOCHS_NAME).read_bytes()
    folder = opened(200, kept, "epochs = 3000\n")
    folder.append(201, ROWS[200:])
    closed(folder)
    check(300)
    assert Path("tensorboard/train", EPOCHS_NAME).read_bytes().startswith(before)
    (text,) = accumulated(Path("tensorboard/train")).Tensors("config")
    assert b"epochs = 3000" in text.tensor_proto.string_val[0]


@pytest.mark.parametrize("lost", ["all", "some", "a bit", "the hashes"])
def test_epochs_that_the_event_files_lost_are_written_again_from_the_metrics(lost: str) -> None:
    folder = opened()
    folder.append(1, ROWS[:200])
    kept = closed(folder)
    path = Path("tensorboard/validation", EPOCHS_NAME)
    if lost == "all":
        shutil.rmtree("tensorboard")
    elif lost == "some":
        path.write_bytes(path.read_bytes()[:1000])
    elif lost == "a bit":
        content = bytearray(path.read_bytes())
        content[1000] ^= 1
        path.write_bytes(content)
    else:
        # As a state of an earlier version, which knew nothing of these files.
        kept = {}
    folder = TensorBoardFolder(Path("tensorboard"), COLUMNS, "", 200, lambda: ROWS[:200], kept)
    folder.append(201, ROWS[200:])
    closed(folder)
    check(300)


def test_a_run_that_begins_again_begins_its_files_again() -> None:
    folder = opened()
    folder.append(1, ROWS[100:])
    closed(folder)
    folder = opened(0)
    folder.append(1, ROWS)
    closed(folder)
    check(300)


def test_a_folder_that_cannot_be_made_is_an_error() -> None:
    Path("tensorboard").write_text("in the way")
    with pytest.raises(OSError, match="tensorboard"):
        opened()
