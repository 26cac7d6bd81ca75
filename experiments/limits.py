"""What a run may take: time, after which it goes on another day, and threads of the processor."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

ROOM = 1.1
"""How much longer than the last time something may take."""


class TimeUp(Exception):
    """A run was stopped at a moment from which it goes on."""


def fits(until: float, seconds: float) -> bool:
    """Whether what took so many seconds has room before a time, in seconds since the epoch."""
    return time.time() + ROOM * seconds <= until


@contextmanager
def with_threads(n: int | None) -> Iterator[None]:
    """So many threads of the processor inside; None is as many as there are."""
    found = torch.get_num_threads()
    try:
        torch.set_num_threads(n or found)
        yield
    finally:
        torch.set_num_threads(found)
