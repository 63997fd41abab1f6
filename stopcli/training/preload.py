"""Imported by a process that others are forked from: TensorFlow is imported once, and started in none of them yet."""

import os

from stopcli.training.tf_setup import import_tensorflow, stderr_to

with open(os.devnull, "w") as nowhere, stderr_to(nowhere.fileno()):  # noqa: PTH123, it is no path
    import_tensorflow()
