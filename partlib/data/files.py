"""Published files: known by their md5, and downloaded whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from torchvision.datasets.utils import check_md5, download_url


def is_published(path: Path, md5: str) -> bool:
    """Whether a file is, byte for byte, the one with this md5."""
    return bool(check_md5(str(path), md5))


def download(url: str, path: Path, md5: str) -> None:
    """Fetch a file; it appears under its name only when it is whole and its md5 is right.

    Raises:
        OSError: there is no network, or no such file, or no place to put it.
        RuntimeError: what came has another md5.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=path.parent) as part:
        download_url(url, part, path.name, md5)
        os.replace(Path(part) / path.name, path)
