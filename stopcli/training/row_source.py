"""Where a loop's rows come from: tensors that hold all of them, or arrays of which some at a time are passed on.

TensorFlow copies every array that it is handed. Of data that fill a good part of the memory only a chunk is handed over
for each call, gathered in the order of the epoch, and with the same numbers of rows always, so that nothing is traced
again. Both ways a batch has the same rows, and the same functions compute with them.
"""

from abc import ABC, abstractmethod

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stopcli.data.dataset import Examples
from stopcli.data.nest import Nest, leaves, map_nest
from stopcli.data.row_view import RowView, gather, rows_of
from stopcli.training.loop import batch_of
from stopcli.training.step import Batch, Tensor, epoch_order, epoch_order_array

# What one call passes to TensorFlow: enough for many steps, and little beside the data.
CHUNK_BYTES = 1 << 22


class RowSource(ABC):
    """Rows that a loop trains or evaluates on.

    Attributes:
        count: how many there are.
    """

    count: int

    @abstractmethod
    def begin_epoch(self, order_seed: int, epoch: int, *, shuffled: bool) -> None:
        """Take the rows in the order of an epoch from now on, or as they stand."""

    @abstractmethod
    def most_batches(self, size: int) -> int:
        """How many batches of a size one call can have, ≥ 1."""

    @abstractmethod
    def in_order(self, first: int, number: int) -> tuple[int, Tensor, Batch]:
        """Some consecutive rows of the epoch's order.

        Args:
            first: where in the order they begin.
            number: how many, no more than `most_batches` of them.

        Returns:
            Where in the order that follows they begin; an order, int32 [rows]; and the rows that it is of.
        """

    @abstractmethod
    def as_they_stand(self, first: int, number: int) -> tuple[int, Batch]:
        """Some consecutive rows: where they begin in what follows; and rows."""


def source_of(rows: Examples, batch: int) -> RowSource:
    """The rows in tensors; in chunks where one of their arrays is a view.

    Args:
        batch: rows of the largest batch.
    """
    nest = batch_of(rows)
    if rows.is_large:
        return RowChunks(nest, rows.count, batch)
    return RowTensors(nest, rows.count)


class RowTensors(RowSource):
    """All rows as tensors."""

    def __init__(self, nest: Nest, count: int) -> None:
        self.count = count
        self._rows: Batch = map_nest(tf.constant, nest)
        self._order: Tensor = None

    def begin_epoch(self, order_seed: int, epoch: int, *, shuffled: bool) -> None:
        seed, number = tf.constant(order_seed), tf.constant(epoch)
        self._order = epoch_order(seed, number, self.count) if shuffled else tf.range(self.count)

    def most_batches(self, size: int) -> int:
        return max(1, self.count // size)

    def in_order(self, first: int, number: int) -> tuple[int, Tensor, Batch]:
        return first, self._order, self._rows

    def as_they_stand(self, first: int, number: int) -> tuple[int, Batch]:
        return first, self._rows


class RowChunks(RowSource):
    """Rows of which a chunk at a time becomes tensors.

    Args:
        nest: arrays and views.
        batch: rows of the largest batch, which a chunk has room for in any case.
    """

    def __init__(self, nest: Nest, count: int, batch: int) -> None:
        self.count, self._nest = count, nest
        row_bytes = sum(array.nbytes for array in leaves(nest)) // max(1, count)
        batches = max(1, min(CHUNK_BYTES // max(1, row_bytes), count) // batch)
        self._capacity: int = batch * batches
        # Overwritten for every call; a tensor is a copy of it.
        self._chunk = map_nest(lambda array: np.zeros((self._capacity, *array.shape[1:]), array.dtype), nest)
        self._within = tf.range(self._capacity)
        self._order: NDArray[np.int32] | None = None

    def begin_epoch(self, order_seed: int, epoch: int, *, shuffled: bool) -> None:
        # That of the epoch before goes first: of many rows it is large.
        self._order = None
        self._order = epoch_order_array(order_seed, epoch, self.count) if shuffled else None

    def most_batches(self, size: int) -> int:
        return max(1, self._capacity // size)

    def in_order(self, first: int, number: int) -> tuple[int, Tensor, Batch]:
        if self._order is None:
            return 0, self._within, self.as_they_stand(first, number)[1]
        numbers = self._order[first : first + number]
        for array, chunk in zip(leaves(self._nest), leaves(self._chunk), strict=True):
            if isinstance(array, RowView):
                array.gather(numbers, chunk[:number])
            else:
                gather(array, numbers, chunk[:number])
        return 0, self._within, self._tensors()

    def as_they_stand(self, first: int, number: int) -> tuple[int, Batch]:
        for array, chunk in zip(leaves(self._nest), leaves(self._chunk), strict=True):
            chunk[:number] = rows_of(array, slice(first, first + number))
        return 0, self._tensors()

    def _tensors(self) -> Batch:
        tensors: Batch = map_nest(tf.convert_to_tensor, self._chunk)
        return tensors
