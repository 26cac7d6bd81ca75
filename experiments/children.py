"""Processes that end with the one that started them."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType


class Children:
    """Runs commands, from several threads at once; a SIGTERM to this process ends them all.

    A terminal sends Ctrl-C to all processes of a command, but `kill`, `timeout` and a cluster's
    scheduler end only the first, and what that had started would train on.
    """

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ended = threading.Event()

    def __enter__(self) -> Children:
        self._before = signal.signal(signal.SIGTERM, self._end)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def run(self, words: Sequence[str], *, cwd: Path) -> int:
        """The exit status of a command, which is not started any more after the end."""
        if self._ended.is_set():
            return 128 + signal.SIGTERM
        with subprocess.Popen(words, cwd=cwd) as child:
            self._running.add(child)
            if self._ended.is_set():  # since it was asked
                child.terminate()
            try:
                return child.wait()
            finally:
                self._running.discard(child)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._ended.set()
        for child in [*self._running]:
            child.terminate()
        raise SystemExit(128 + number)
