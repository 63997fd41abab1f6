"""Measures how fast networks train on this machine: on a few steps, while as many train at once as in a sweep."""

from __future__ import annotations

import functools
import multiprocessing
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import fields
from multiprocessing import get_context
from types import TracebackType
from typing import Any

from stopcli.configs.base import to_toml
from stopcli.control_groups import cpu_quota, usable_cores
from stopcli.errors import ResourceError, in_a_line, is_out_of_memory
from stopcli.recipes.base import recipe_for
from stopcli.runner.estimate import ArmEstimate, SweepEstimate, timed_calls
from stopcli.runner.precision import BFLOAT16, computes_here
from stopcli.runner.run import process_age
from stopcli.runner.speed import Speed, describe_network, measured_config
from stopcli.signals import end_with_parent
from stopcli.sweeps.layout import Layout, core_shares, plan_layout
from stopcli.sweeps.plan import plan_jobs
from stopcli.training.session import NullObserver, Observer
from stopcli.training.tf_setup import has_gpu, start_tensorflow

# Calls of the loop that are timed.
_CALLS = 7


class SpeedMeter:
    """A `Meter` whose processes stay for the next network until the block ends.

    Args:
        images, test_images: that there are, of which settings may take fewer.
        observer: is told which network is measured.
    """

    def __init__(self, images: int, test_images: int, observer: Observer) -> None:
        self._counts, self._observer = (images, test_images), observer
        self._pools: list[ProcessPoolExecutor] = []
        self._layout = (0, 0)
        self._speeds: dict[tuple[str, int, int], Speed] = {}

    def __enter__(self) -> SpeedMeter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._pools:
            # A measurement that is running would be waited for. Nothing else starts processes meanwhile.
            for process in multiprocessing.active_children():
                process.kill()
        self._close()

    def computes_bfloat16(self) -> bool:
        return computes_here(BFLOAT16) is True

    def known(self, config: Any) -> Speed | None:
        return self._speeds.get(self._key(config))

    def speed(self, config: Any) -> Speed:
        key = self._key(config)
        if key not in self._speeds:
            self._speeds[key] = self._measure(measured_config(config, *self._counts), *key[1:])
        return self._speeds[key]

    def _key(self, config: Any) -> tuple[str, int, int]:
        return (to_toml(measured_config(config, *self._counts)), *_processes_of(config))

    def _measure(self, run: Any, workers: int, threads: int) -> Speed:
        self._observer.stage(f"measuring {describe_network(run)}")
        cores = core_shares(workers, threads) or ((),) * workers
        try:
            if self._layout != (workers, threads):
                self._close()
                self._layout = (workers, threads)
                for _ in range(workers):
                    # Of one process each, so that none measures twice while another starts.
                    pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=end_with_parent)
                    self._pools.append(pool)
            futures = [
                pool.submit(_speed_in_process, run, threads, share)
                for pool, share in zip(self._pools, cores, strict=True)
            ]
            speeds = [future.result() for future in futures]
        # A pool's queues need semaphores, which need /dev/shm: in a container that may be full, read-only or missing.
        except (BrokenProcessPool, MemoryError, OSError, NotImplementedError) as error:
            raise ResourceError(
                f"{describe_network(run)}: its speed cannot be measured ({in_a_line(error)})",
                hint="--scale full needs no measurement.",
            ) from error
        values = {field.name: [getattr(speed, field.name) for speed in speeds] for field in fields(Speed)}
        network, *_ = values.pop("network")
        # All of them were judged, or none.
        means: dict[str, Any] = {
            name: None if None in numbers else statistics.mean(numbers) for name, numbers in values.items()
        }
        return Speed(network, **means)

    def _close(self) -> None:
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)
        self._pools = []

    def predicted_seconds(self, config: Any, speed: Speed) -> float:
        jobs, arms = plan_jobs(config), {}
        for job in jobs:
            run = job.config
            limits = zip((run.limit, run.test_limit), self._counts, strict=True)
            count, tested = (min(limit or images, images) for limit, images in limits)
            copies = getattr(run, "copies", 1)
            # At the end, each model that is kept is measured on all images.
            evaluated = tested * run.epochs + (count + tested) * (1 + run.checkpoint)
            arms[job.arm] = ArmEstimate(
                epochs=run.epochs,
                images=run.batch_size * copies,
                updates=-(-count // run.batch_size) * run.epochs,
                start_seconds=speed.start_seconds,
                train_seconds=run.epochs * count * copies * speed.row_seconds,
                validation_seconds=evaluated * speed.evaluated_row_seconds,
            )
        return speed.start_seconds + SweepEstimate(config, jobs, arms, _layout_of(config)).seconds


def _layout_of(config: Any) -> Layout:
    return plan_layout(config, gpu=has_gpu())


def _processes_of(config: Any) -> tuple[int, int]:
    """How many runs of a sweep train at a time, and the threads of each."""
    if not config.is_sweep:
        return 1, config.threads or usable_cores()
    layout = _layout_of(config)
    workers = max(1, min(layout.workers, len(plan_jobs(config))))
    return workers, layout.threads or max(1, usable_cores() // workers)


def _speed_in_process(run: Any, threads: int, cores: Sequence[int]) -> Speed:
    """What a process of a meter does for a network."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    try:
        return speed_of(run, _process_seconds(threads), threads)
    except Exception as error:
        # TensorFlow's own, which the process that receives it would have to import TensorFlow for.
        if is_out_of_memory(error):
            raise MemoryError(in_a_line(error)) from None
        raise


@functools.cache
def _process_seconds(threads: int) -> float:
    """From the start of this process until TensorFlow has started, which it does here."""
    start_tensorflow(threads)
    return process_age()


def speed_of(run: Any, process_seconds: float, threads: int) -> Speed:
    """Measure the network of a run in this process, which took `process_seconds` until TensorFlow had started and
    computes with `threads`."""
    from stopcli.training.steps_loop import EVALUATION_COST

    start_time = time.perf_counter()
    recipe = recipe_for(run)
    experiment = recipe.build(recipe.load(run, NullObserver()))
    loop = experiment.make_loop()
    loop.compile()
    start_seconds = process_seconds + time.perf_counter() - start_time
    rows = min(run.batch_size, experiment.parts.train.count) * experiment.inputs.copies
    clock_time, processor_time = time.perf_counter(), time.process_time()
    # The median: a call in which another program had the processor says nothing of an hour's training.
    row_seconds = statistics.median(seconds / steps for steps, seconds in timed_calls(loop, run.epochs, _CALLS)) / rows
    share = (time.process_time() - processor_time) / (time.perf_counter() - clock_time) / min(cpu_quota() or 1.0, 1.0)
    # Several threads wait for each other on an idle machine too.
    processor_share = None if has_gpu() or threads > 1 else min(share, 1.0)
    return Speed(describe_network(run), row_seconds, row_seconds * EVALUATION_COST, start_seconds, processor_share)
