"""What `Recorder.epoch` costs, with a rule and the best epoch, beside Keras's CSVLogger on the same values.

Both write a CSV file, in one process, in turns. CSVLogger flushes each epoch; Recorder writes what waits every half a
second, and that writing, in its thread, is part of its time here: a round ends when all of its epochs are on the disk.
Measured is the processor's time of the whole process, which another load of the machine does not change.

python benchmarks/recorder.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from timing import in_turn, ratio, with_range

from stopcli import Patience, Recorder

EPOCHS = 10_000
ROUNDS = 9
METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")


def processor_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    from stopcli.training.tf_setup import start_tensorflow

    start_tensorflow()
    from keras.callbacks import CSVLogger

    rows = [dict(zip(METRICS, row, strict=True)) for row in np.random.default_rng(0).random((EPOCHS, 4)).tolist()]
    with tempfile.TemporaryDirectory() as folder:
        logger = CSVLogger(str(Path(folder) / "keras.csv"))
        logger.on_train_begin()
        with Recorder(folder, rule=Patience(EPOCHS * ROUNDS, monitor="val_loss")) as recorder:

            def ours() -> None:
                for row in rows:
                    recorder.epoch(**row)
                assert recorder._log is not None
                recorder._log.flush()

            def theirs() -> None:
                for epoch, row in enumerate(rows):
                    logger.on_epoch_end(epoch, row)

            measured = in_turn(ROUNDS, lambda: processor_seconds(ours), lambda: processor_seconds(theirs))
    recorder_times, logger_times = ([value / EPOCHS * 1e6 for value in values] for values in measured)
    print(f"{EPOCHS:,} epochs of {len(METRICS)} metrics, {ROUNDS} rounds in turns; medians (smallest to largest)")
    print(f"Recorder.epoch         {with_range(recorder_times, '{:.1f}')} µs an epoch, at most 50 are promised")
    print(f"CSVLogger.on_epoch_end {with_range(logger_times, '{:.1f}')} µs an epoch")
    print(f"ratio                  {ratio(recorder_times, logger_times)}")


if __name__ == "__main__":
    main()
