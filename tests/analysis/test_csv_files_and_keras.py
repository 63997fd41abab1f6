"""Rules replayed on CSV files stop where Keras's EarlyStopping stops, driven with the values that were written."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from keras_stops import StubModel, keras_stop

from stopcli.analysis.recorded_history import RecordedHistory
from stopcli.runs.recording import read_recording
from stopcli.stopping import BestEpoch, Patience

pytestmark = pytest.mark.usefixtures("tensorflow")

PATH = Path("history.csv")
Values = Sequence[float | None]


def keras_csv_logger(values: Values) -> None:
    """As Keras's own callback writes it: epochs from 0, NA where there is no value."""
    import keras

    logger = keras.callbacks.CSVLogger(PATH)
    logger.set_model(StubModel())
    logger.on_train_begin()
    for epoch, value in enumerate(values):
        logger.on_epoch_end(epoch, {"loss": 1.0, **({} if value is None and epoch else {"val_loss": value})})
    logger.on_train_end()


def lightning(values: Values) -> None:
    """As Lightning's CSVLogger: sparse rows, those of single steps too, and a test after training."""
    lines = ["epoch,step,train_loss_step,train_loss_epoch,val_loss,test_loss"]
    for epoch, value in enumerate(values):
        lines += [f"{epoch},{9 * epoch + step},{1 / (step + 1)},,," for step in (2, 5, 8)]
        lines += [f"{epoch},{9 * epoch + 8},,,{value},"] if value is not None else []
        lines += [f"{epoch},{9 * epoch + 8},,0.5,,"]
    lines += [f"{len(values)},{9 * len(values)},,,,0.4"]
    PATH.write_text("\n".join(lines) + "\n")


def plain(
    first: int, delimiter: str = ",", end: str = "\n", start: str = "", point: str = "."
) -> Callable[[Values], None]:
    """A row an epoch, counted from `first`."""

    def write(values: Values) -> None:
        rows = ["epoch,time,loss,val_loss".replace(",", delimiter)]
        for epoch, value in enumerate(values, start=first):
            cell = "" if value is None else repr(value).replace(".", point)
            rows.append(delimiter.join([str(epoch), "10:31", f"1{point}5", cell]))
        PATH.write_bytes((start + end.join(rows) + end).encode())

    return write


FORMATS: dict[str, Callable[[Values], None]] = {
    "Keras's CSVLogger": keras_csv_logger,
    "Lightning's metrics.csv": lightning,
    "from 0": plain(0),
    "from 1": plain(1),
    "semicolons": plain(1, ";", point=","),
    "byte order mark": plain(0, start="\ufeff", end="\r\n"),
    "tabs": plain(1, "\t"),
}


def our_stop(**options: Any) -> tuple[int | None, str]:
    """The epoch at which patience stops on the file, counted from 1, or None; and why."""
    recording = read_recording(PATH, "val_loss", options["mode"])
    replay = RecordedHistory(recording, BestEpoch("val_loss", options["mode"])).replay(Patience(**options))
    return (replay.epoch, replay.ending) if replay.verdict else (None, replay.ending)


def random_case(draw: random.Random) -> tuple[list[float | None], dict[str, Any]]:
    """A curve with many ties, some of which have epochs without a value, and some values that are not finite."""
    unit = draw.choice([1 / 64, 0.01, 0.001])
    level, values = 64, []
    for _ in range(draw.randint(1, 40)):
        level = max(0, level + draw.randint(-6, 5))
        values.append(level * unit)
    written: list[float | None] = list(values)
    if draw.random() < 0.3:
        every = draw.choice([2, 3, 5])
        # The first has a value, from which Keras's CSVLogger learns its columns.
        written = [value if epoch % every == 0 else None for epoch, value in enumerate(values)]
    if draw.random() < 0.2:
        written[draw.randrange(len(written))] = draw.choice([math.nan, math.inf, -math.inf])
    options = {
        "patience": draw.choice([0, 1, 1, 2, 3, 5, 10]),
        "min_delta": draw.choice([0, 0, unit, 4 * unit, 0.5]),
        "mode": draw.choice(["min", "max"]),
        "start_from_epoch": draw.choice([0, 0, 0, 1, 3, 10]),
    }
    return written, options


@pytest.mark.slow
def test_files_of_every_kind_stop_where_keras_stops_on_2000_random_curves() -> None:
    draw = random.Random(17)
    stopped = broken = sparse = 0
    for i in range(2000):
        values, options = random_case(draw)
        name = list(FORMATS)[i % len(FORMATS)]
        FORMATS[name](values)
        keras_epoch, _ = keras_stop(values, **options)
        epoch, ending = our_stop(**options)
        # A value that is not finite ends a run here. Keras takes one in the first epoch for the best for ever, and
        # others for epochs without (or with) an improvement: what the two do is the same before it.
        first_broken = next((e for e, v in enumerate(values, 1) if v is not None and not math.isfinite(v)), math.inf)
        if keras_epoch is not None and keras_epoch < first_broken:
            expected = (keras_epoch, "patience")
        elif first_broken < math.inf:
            expected = (int(first_broken), "non_finite")
            broken += 1
        else:
            expected = (None, "beyond_recording")
        assert (epoch, ending) == expected, (name, values, options)
        stopped += ending == "patience"
        sparse += None in values
    # The cases are only worth something where many stop and many do not.
    assert 500 < stopped < 1500
    assert broken > 100
    assert sparse > 400
