"""A server on this machine that stands for the official address of CIFAR-10 and gives a tiny archive of its form."""

from __future__ import annotations

import contextlib
import hashlib
import io
import pickle
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

import numpy as np

from stopcli.data import cifar10

TRAIN, TEST = 80, 40
_CLASSES = 4


def archive() -> bytes:
    """The bytes of an official archive with few images of few classes."""
    draw = np.random.default_rng(0)

    def batch(rows: int) -> bytes:
        labels = np.arange(rows) % _CLASSES
        x = (draw.integers(0, 128, (rows, 3072)) + 40 * labels[:, None]).astype(np.uint8)
        return pickle.dumps({b"data": x, b"labels": labels.tolist()}, protocol=2)

    names = [b"plane", b"car", b"bird", b"cat"]
    files = {"data_batch_1": batch(TRAIN), "test_batch": batch(TEST)}
    files["batches.meta"] = pickle.dumps({b"label_names": names}, protocol=2)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


@dataclass
class Served:
    """What a server has been asked for, and how it is to answer.

    Attributes:
        asked: the `Range` of each request, empty for all.
        breaks_after: bytes after which each connection breaks; None for never.
        ranges: whether it gives a part of the file where a part is asked for.
    """

    content: bytes
    requested_ranges: list[str] = field(default_factory=list)
    breaks_after: int | None = None
    ranges: bool = True
    url: str = ""


@contextlib.contextmanager
def cifar_served() -> Iterator[Served]:
    """Within the block, CIFAR-10 is downloaded from a server of this process, and is whole when it is tiny."""
    served = Served(archive())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            served.requested_ranges.append(wanted)
            first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and served.ranges else 0
            if first >= len(served.content):
                self.send_error(416)
                return
            rest = served.content[first:]
            self.send_response(206 if first else 200)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: served.breaks_after])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    digest = hashlib.sha256(served.content).hexdigest()
    faked = {"_ORIGIN": served.url, "_SHA256": digest, "_TRAIN": TRAIN, "_TEST": TEST}
    try:
        with mock.patch.multiple(cifar10, **faked), mock.patch.dict("os.environ", {"no_proxy": "127.0.0.1"}):
            yield served
    finally:
        server.shutdown()
        server.server_close()
