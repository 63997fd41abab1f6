"""A training step of ResNet-44 with augmentation: stopcli's loop beside Keras's `fit` and PyTorch, in the same minutes.

Every contestant has its own process, because TensorFlow and PyTorch each start their threads, and trains the same
network (ResNet v1, L2, RMSprop, batch 64) on the same number of images; the processes take turns. Only steps are timed,
after compilation and a first round.

- `stopcli`: the compiled loop, images augmented in it (erasing, shift, flip).
- `keras fit`: Keras 3 with its defaults, fed by the legacy `ImageDataGenerator` with an eraser for each image.
- `keras fit, oneDNN`: the same with TensorFlow's oneDNN kernels, which are off by default on some CPUs.
- `pytorch`: channels_last, without any augmentation, on batches in memory. Needs `pip install torch==2.13.0`.
- `stopcli bfloat16`, `pytorch bfloat16`: the same with `--precision bfloat16`, and under PyTorch's autocast. They say
  something about bfloat16 where the processor has it; elsewhere, what it costs without.

Then where stopcli's step spends its time, by operation, in float32 or in the precision of `--profile`.

    python benchmarks/resnet_step.py [--depth 44] [--rounds 9] [--only NAME …] [--profile float32]
"""

from __future__ import annotations

import argparse
import collections
import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from resnet_round import noise, stopcli_round
from timing import Contestant, ratio, take_turns, with_range

BATCH, STEPS = 64, 8


def keras_round(depth: int) -> Callable[[], None]:
    import keras
    from eraser import generator

    from stopcli.models.resnet import resnet_v1

    x, y = noise(BATCH * STEPS)
    model = resnet_v1(depth, (32, 32, 3), 10, 0)
    model.compile(keras.optimizers.RMSprop(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    batches = generator().flow(x / np.float32(255), y, batch_size=BATCH)
    return lambda: model.fit(batches, steps_per_epoch=STEPS, epochs=1, verbose=0)


def pytorch_round(depth: int, *, autocast: bool = False) -> Callable[[], None]:
    import torch
    from torch import nn
    from torch.nn import functional as operations

    class Block(nn.Module):
        def __init__(self, inputs: int, filters: int, stride: int) -> None:
            super().__init__()
            self.first = nn.Conv2d(inputs, filters, 3, stride, 1)
            self.second = nn.Conv2d(filters, filters, 3, 1, 1)
            self.around = nn.Conv2d(inputs, filters, 1, stride) if stride != 1 else nn.Identity()
            self.norms = nn.ModuleList([nn.BatchNorm2d(filters, 1e-3, 0.01), nn.BatchNorm2d(filters, 1e-3, 0.01)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = operations.relu(self.norms[0](self.first(x)))
            return operations.relu(self.norms[1](self.second(y)) + self.around(x))

    stages = [(16, 16, 1), (16, 32, 2), (32, 64, 2)]
    blocks = [
        Block(inputs if i == 0 else filters, filters, stride if i == 0 else 1)
        for inputs, filters, stride in stages
        for i in range((depth - 2) // 6)
    ]
    stem = [nn.Conv2d(3, 16, 3, 1, 1), nn.BatchNorm2d(16, 1e-3, 0.01), nn.ReLU()]
    model = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    model = model.to(memory_format=torch.channels_last)
    kernels = [module.weight for module in model.modules() if isinstance(module, nn.Conv2d)]
    others = [weight for weight in model.parameters() if all(weight is not kernel for kernel in kernels)]
    # L2 of 1e-4 · w² is a decay of 2e-4 · w.
    groups = [{"params": kernels, "weight_decay": 2e-4}, {"params": others}]
    optimizer = torch.optim.RMSprop(groups, lr=1e-3, alpha=0.9, eps=1e-7)
    x, y = noise(BATCH * STEPS)
    inputs = torch.tensor(x / np.float32(255)).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    targets = torch.tensor(y).long()

    def run() -> None:
        for i in range(0, BATCH * STEPS, BATCH):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = operations.cross_entropy(model(inputs[i : i + BATCH]), targets[i : i + BATCH])
            loss.backward()
            optimizer.step()

    return run


def our_round(depth: int, *, precision: str = "float32") -> Callable[[], None]:
    settings = {"depth": depth, "erasing": True, "batch_size": BATCH, "precision": precision}
    return stopcli_round(settings, BATCH * STEPS)


ROUNDS = {
    "stopcli": our_round,
    "pytorch": pytorch_round,
    "keras fit": keras_round,
    "keras fit, oneDNN": keras_round,
    "stopcli bfloat16": functools.partial(our_round, precision="bfloat16"),
    "pytorch bfloat16": functools.partial(pytorch_round, autocast=True),
}
# Rates that are divided by one another.
RATIOS = [
    ("stopcli", "pytorch"),
    ("stopcli", "keras fit"),
    ("stopcli", "keras fit, oneDNN"),
    ("stopcli bfloat16", "pytorch bfloat16"),
    ("stopcli bfloat16", "stopcli"),
]


def start(name: str, depth: int) -> Contestant:
    one_dnn = "1" if "oneDNN" in name or name.startswith("stopcli") else "0"
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow", "TF_ENABLE_ONEDNN_OPTS": one_dnn}
    return Contestant(__file__, "--contestant", name, "--depth", str(depth), **environment)


def profile(depth: int, precision: str) -> None:
    """Where the time of a round goes, by operation: summed over threads, so parallel work counts twice."""
    run = our_round(depth, precision=precision)
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    run()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        run()
        tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace()
        space.ParseFromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    spent: collections.Counter[str] = collections.Counter()
    counts: collections.Counter[str] = collections.Counter()
    for plane in space.planes:
        for line in plane.lines if "CPU" in plane.name else ():
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                # Operations are named `node:Type`; their callers are not.
                if ":" in name and "::" not in name and "inference" not in name:
                    kind = name.rsplit(":", 1)[-1]
                    spent[kind] += event.duration_ps
                    counts[kind] += 1
    total = sum(spent.values())
    print(
        f"Where stopcli's step in {precision} goes ({counts.total() / STEPS:,.0f} operations a step, which take "
        f"{total / 1e9 / STEPS:.0f} ms on all threads):"
    )
    for name, picoseconds in spent.most_common(12):
        count, milliseconds = counts[name] / STEPS, picoseconds / 1e9 / STEPS
        print(f"  {picoseconds / total:6.1%}  {milliseconds:7.1f} ms  {count:5.0f} × {name}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--depth", type=int, default=44)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=ROUNDS, nargs="+", default=ROUNDS)
    parser.add_argument("--profile", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--contestant", choices=ROUNDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        take_turns(ROUNDS[options.contestant](options.depth))
        return
    contestants = {name: start(name, options.depth) for name in options.only}
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(options.rounds):
        for name, contestant in contestants.items():
            # Threads of the one before spin for a while before they sleep.
            time.sleep(1)
            rates[name].append(BATCH * STEPS / contestant.round())
    for contestant in contestants.values():
        contestant.close()
    print(f"ResNet-{options.depth}, batch {BATCH}, images/s:")
    for name, values in rates.items():
        print(f"  {name:20s} {with_range(values, '{:.1f}')}")
    for name, other in RATIOS:
        if name in rates and other in rates:
            print(f"  {name} / {other}: {ratio(rates[name], rates[other])}")
    profile(options.depth, options.profile)


if __name__ == "__main__":
    main()
