"""Downloading a file without any library that starts TensorFlow: in parts, and checked before it has its name.

Proxies are taken from the environment, as urllib does (http_proxy, https_proxy, no_proxy).
"""

import contextlib
import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from stopcli.errors import RunError

# A network that swallows what is sent to it would otherwise be waited for without end.
TIMEOUT_SECONDS = 15.0
# Connections that break are made again this often, as long as each of them brings something.
_ATTEMPTS = 5
_CHUNK_BYTES = 1 << 20

OnBytes = Callable[[int, int], None]
"""Called with how many bytes have come, of how many; 0 where the server does not say."""


def download(url: str, path: Path, sha256: str, on_progress: OnBytes) -> None:
    """Download a file. What an earlier call left in `PATH.part` is continued, where the server can.

    Args:
        path: what it is called once its hash is right; its folder is there.

    Raises:
        RunError: the address cannot be reached, the connection broke, or the file is another one.
        OSError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    for attempt in range(1, _ATTEMPTS + 1):
        before = _size(part)
        problem = _fetch(url, part, on_progress)
        if not problem:
            break
        if attempt == _ATTEMPTS or _size(part) <= before:
            raise RunError(problem)
    if _sha256(part) != sha256:
        part.unlink()
        raise RunError("the downloaded file is another one, by its SHA-256")
    part.replace(path)


def _fetch(url: str, part: Path, on_progress: OnBytes) -> str:
    """Append the missing rest of a file. Returns why it is still incomplete, in words; empty where it is not."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        # Opening, reading and writing fail alike with OSErrors; those of the disk are not the network's.
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            # There is nothing more: the file is complete, or its hash will show that it is another one.
            return "" if have and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE else _reason(error)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _reason(error)
    with contextlib.closing(response):
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            # The server sends all of it again.
            have = 0
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else 0
        with part.open("ab" if have else "wb") as file:
            while True:
                try:
                    chunk = response.read(_CHUNK_BYTES)
                except (OSError, http.client.HTTPException) as error:
                    return _reason(error)
                if not chunk:
                    break
                file.write(chunk)
                have += len(chunk)
                on_progress(have, total)
    return f"the connection ended after {have:,} of {total:,} bytes" if have < total else ""


def _reason(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.code} {error.reason}".strip()
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(getattr(reason, "strerror", None) or reason).strip() or type(error).__name__


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
