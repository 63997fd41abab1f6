"""Reading metrics.csv back: the same float32 values, and what is told of files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stopcli.errors import RequestError
from stopcli.runs.metrics import MetricsFile, read_metrics


def test_what_was_written_is_read_back_to_the_bit() -> None:
    values = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    values[7] = [np.nan, -np.inf]
    values[8] = [np.finfo(np.float32).max, 1e-45]
    file = MetricsFile(Path("metrics.csv"), ["loss", "val_loss"])
    file.append(1, 3, values)
    file.close()
    columns = read_metrics(Path("metrics.csv"))
    assert columns["epoch"].tolist() == list(range(1, 501))
    assert columns["step"].tolist() == list(range(3, 1501, 3))
    read = np.stack([columns["loss"], columns["val_loss"]], axis=1)
    assert read.astype(np.float32).tobytes() == values.tobytes()


def test_a_last_line_that_was_not_finished_is_left_out() -> None:
    Path("metrics.csv").write_text("epoch,step,loss\n1,1,0.5\n2,2,0.2")
    assert read_metrics(Path("metrics.csv"))["loss"].tolist() == [0.5]
    Path("metrics.csv").write_text("epoch,step,loss\n1,1")
    assert read_metrics(Path("metrics.csv"))["loss"].tolist() == []


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (b"", "not a metrics.csv"),
        (b"a,b\n1,2\n", "not a metrics.csv"),
        (b"epoch,step,loss\n1,1,high\n", "damaged"),
        (b"epoch,step,loss\n1,1,0.5\n2,2\n", "damaged"),
        (b"epoch,step,loss\n1,1\n2,2\n", "damaged"),
        (b"epoch,step,loss\n1,1,0.5,0.5\n", "damaged"),
        (b"epoch,step,loss\n1,1,0.5\n\n2,2,0.5\n", "damaged"),
        (b"epoch,step,loss\n\xff\xfe\n", "damaged"),
    ],
)
def test_other_files_are_refused(text: bytes, answer: str) -> None:
    Path("metrics.csv").write_bytes(text)
    with pytest.raises(RequestError, match=rf"metrics\.csv: {answer}"):
        read_metrics(Path("metrics.csv"))
    with pytest.raises(RequestError, match="nowhere: cannot be read"):
        read_metrics(Path("nowhere"))
