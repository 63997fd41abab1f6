"""A container whose only writable place is a volume: no temporary files, no caches, no shared memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from forked import finished
from PIL import Image
from program import status_of, summary_of

# Within the namespace of mounts of its own, what is mounted is gone with it.
MOUNTS = """
set -e
mount -t tmpfs -o ro none /dev/shm
mkdir "$2/read-only"
mount -t tmpfs -o ro none "$2/read-only"
cd "$2/read-only"
exec "$1" -c "$3" "$2"
"""
# Many files are decoded by processes; here few are many.
PROGRAM = """
import os, sys, tempfile
from stopcli.cli.main import main
from stopcli.data import image_folder
from stopcli.data.load import load_images
volume = sys.argv[1]
# Where they could be written, the machine's own are hidden.
tempfile._candidate_tempdir_list = lambda: [os.environ.get("TMPDIR", os.getcwd())]
image_folder._CHUNK, image_folder.usable_cores = 1, lambda: 2
images = load_images(f"{volume}/images")
print(images.train.count, *images.notes, sep="; ")
main(["moons", "--hidden", "20", "--epochs", "20", "--run-dir", f"{volume}/run", "--quiet"])
"""


def can_mount() -> bool:
    if shutil.which("unshare") is None or not Path("/dev/shm").is_dir():
        return False
    return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not can_mount(), reason="mounting takes root and unshare")
def test_a_run_needs_no_more_than_its_own_folder(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("a", "b"):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for i in range(5):
                Image.fromarray(np.full((4, 4, 3), i, np.uint8)).save(folder / f"{i}.png")
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "KERAS_HOME", "MPLCONFIGDIR"), f"{tmp_path}/read-only/cache")
    told = subprocess.run(
        ["unshare", "-m", "sh", "-c", MOUNTS, "sh", sys.executable, str(tmp_path), PROGRAM],
        capture_output=True,
        text=True,
        env={**{name: value for name, value in os.environ.items() if name != "TMPDIR"}, **nowhere},
        timeout=300,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    loaded, *_ = told.stdout.splitlines()
    assert loaded.startswith("10; decoded images cannot be saved in ")
    assert "(Read-only file system), so they are decoded each time" in loaded
    assert told.stderr == ""
    (warning,) = summary_of(tmp_path / "run")["warnings"]
    assert warning.startswith("matplotlib cannot save its font list, which is built again each time (")
    assert warning[:-1] in (tmp_path / "run" / "report.md").read_text()
    assert status_of(tmp_path / "run")["state"] == "finished"
    left = [path.name for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    assert left in ([], [".lock"])
    assert {path.name for path in tmp_path.iterdir()} == {"images", "read-only", "run"}


@pytest.mark.slow
def test_tensorflow_computes_with_no_more_threads_than_a_container_may_use_up() -> None:
    program = """
from stopcli.training import tf_setup as tensorflow_setup
tensorflow_setup.usable_cores, tensorflow_setup.reachable_cores = lambda: 3, lambda: 8
tensorflow_setup.start_tensorflow()
tensorflow_setup.start_tensorflow()
import tensorflow as tf
print(tf.config.threading.get_intra_op_parallelism_threads())
"""
    assert finished(program) == "3\n"
