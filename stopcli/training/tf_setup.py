"""How TensorFlow and Keras are started. Nothing else in stopcli may import them before this has run."""

import contextlib
import functools
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from stopcli.control_groups import reachable_cores, usable_cores
from stopcli.errors import RunError
from stopcli.runs.files import temporary_files, variables_set

if TYPE_CHECKING:
    import keras

# Made by the drivers of NVIDIA and AMD.
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
# Of NVIDIA's GPUs, the first generation (compute capability) with fast arithmetic in 16 bits.
_FIRST_CAPABILITY = {"bfloat16": (8, 0), "float16": (7, 0)}


def start_tensorflow(threads: int | None = None) -> str:
    """Set what TensorFlow and Keras read from the environment, import them, and fix Keras's global settings.

    The first call of a process takes seconds, most of them in TensorFlow's import. A variable that the user has set is
    left as it is, but for Keras's backend: stopcli's loop is TensorFlow's.

    Args:
        threads: that TensorFlow computes with; None for as many as there are cores, or less where a container may not
            use them up. A process can choose it once.

    Returns:
        What the libraries wrote to stderr meanwhile (which kernels are on, that there is no GPU), for the run's log.
    """
    with _file_without_a_name() as stderr_file:
        try:
            with stderr_to(stderr_file.fileno()):
                import_tensorflow()
                import keras
                import tensorflow as tf

                if threads is not None:
                    _set_threads(threads)
                elif usable_cores() < reachable_cores():
                    # It counts those that it may run on. Where it has started already, that is how it was asked for.
                    with contextlib.suppress(RunError):
                        _set_threads(usable_cores())
                # Looks for a GPU now, so that what the driver has to say is caught too.
                tf.config.list_logical_devices()
        finally:
            stderr_file.seek(0)
            text = stderr_file.read()
            if sys.exc_info()[0] is not None:
                sys.stderr.write(text)

    # ~/.keras/keras.json may say otherwise, and would change the numbers of a run without a word in its config.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    return text


def has_gpu() -> bool:
    """Whether there is a GPU.

    Imports TensorFlow where the system has a driver for one; leaves open on what and with how many threads it computes.
    """
    if not any(Path(device).exists() for device in _GPU_DEVICES):
        return False
    set_environment()
    with temporary_files(Path()), _file_without_a_name() as stderr_file, stderr_to(stderr_file.fileno()):
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))


def gpus_compute_in(precision: str) -> bool | None:
    """Whether every GPU computes in 16 bits; TensorFlow has been imported.

    Args:
        precision: `bfloat16` or `float16`.

    Returns:
        None where one does not tell its generation, as AMD's do not.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    capabilities = [tf.config.experimental.get_device_details(gpu).get("compute_capability") for gpu in gpus]
    if None in capabilities:
        return None
    return all(capability >= _FIRST_CAPABILITY[precision] for capability in capabilities)


def hush_short_numbers(model: "keras.Model") -> None:
    """Before a model is called: where it computes in 16 bits, have TensorFlow say now, where nobody reads it, what it
    says once in a process of numbers that its CPU library has no kernels for."""
    from stopcli.models.twin import has_short_numbers

    if has_short_numbers(model):
        _compute_in_short_numbers()


@functools.cache
def _compute_in_short_numbers() -> None:
    import tensorflow as tf

    with _file_without_a_name() as nowhere, stderr_to(nowhere.fileno()):
        for precision in (tf.bfloat16, tf.float16):
            ones = tf.ones([1, 1, 1, 1], precision)
            tf.function(lambda x: tf.nn.conv2d(x, x, 1, "SAME"), autograph=False)(ones)


def _set_threads(threads: int) -> None:
    import tensorflow as tf

    threading = tf.config.threading
    if threading.get_intra_op_parallelism_threads() == threads:
        return
    try:
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        if threading.get_intra_op_parallelism_threads() == 0 and threads == reachable_cores():
            # It has started already with as many as there are, which are these.
            return
        raise RunError(
            f"TensorFlow computes with another number of threads in this process already, not {threads}"
        ) from None


def import_tensorflow() -> None:
    """Import TensorFlow and Keras as they come, whatever files of the user's Keras would read on its way."""
    set_environment()
    # Keras imports matplotlib's pyplot where it is there, which would read the user's matplotlibrc before
    # report/drawing.py can keep it from that; one that cannot be read would end the import.
    blocked = "matplotlib" not in sys.modules
    if blocked:
        sys.modules["matplotlib"] = None  # type: ignore[assignment]
    try:
        # Nothing can be read or made below a file that is no folder. A keras.json that may not be opened, or holds
        # something else than settings, would end the import; what it can say is set below.
        with variables_set(KERAS_HOME=os.path.join(os.devnull, "keras")):  # noqa: PTH118
            import keras  # noqa: F401
        import tensorflow  # noqa: F401
    finally:
        if blocked:
            del sys.modules["matplotlib"]


def set_environment() -> None:
    """Set what TensorFlow and Keras read when they are imported."""
    if "tensorflow" not in sys.modules:
        # Off by default on some CPU types, although it is the faster there for convolutions.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
        # 2: only errors.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"


def _file_without_a_name() -> IO[str]:
    """A file for what is not kept, on Linux in memory: there may be no folder for temporary files."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("stderr"), "w+", errors="replace")
    return tempfile.TemporaryFile("w+", errors="replace")


# Of two threads at once, such as runs of a sweep, the second would take the first one's file for the process's stderr
# and put it back in the end: from then on whatever is written would be lost.
_STDERR = threading.RLock()


@contextlib.contextmanager
def stderr_to(descriptor: int) -> Iterator[None]:
    """Send what the process writes to stderr, C++ libraries included, to a file; one thread at a time."""
    with _STDERR:
        sys.stderr.flush()
        before = os.dup(2)
        try:
            os.dup2(descriptor, 2)
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
