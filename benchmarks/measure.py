"""How time, memory and arithmetic are measured."""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import flop_registry

Form = Callable[[], object]
Seconds = dict[str, list[float]]


def side_by_side(forms: Mapping[str, Form], rounds: int, device: torch.device) -> Seconds:
    """Time several forms of one task, interleaved: every round runs each form once.

    The first round warms up and does not count; each round begins with another form, so that none
    profits from its place.

    Returns:
        For each form its seconds round by round, in the order of the rounds.
    """
    names = list(forms)
    seconds: Seconds = {name: [] for name in names}
    for i in range(rounds + 1):
        for j in range(len(names)):
            name = names[(i + j) % len(names)]
            synchronize(device)
            start = time.perf_counter()
            forms[name]()
            synchronize(device)
            if i:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def row(seconds: list[float], base: list[float]) -> dict[str, float]:
    """Median and range of some seconds, and the median over the rounds of their ratio to a base."""
    return {
        "median_s": statistics.median(seconds),
        "low_s": min(seconds),
        "high_s": max(seconds),
        "times": statistics.median(a / b for a, b in zip(seconds, base, strict=True)),
    }


def synchronize(device: torch.device) -> None:
    """Wait until all that was started on a GPU is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Peak(TorchDispatchMode):
    """Inside, counts the bytes of tensors that are made and still alive; `most` is their peak."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._alive: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        """Run an operation and count what it made; a view of what was there before is nothing."""
        tree_map_only(Tensor, self._know, args)
        made = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._count, made)
        return made

    def _know(self, tensor: Tensor, *, size: int = 0) -> Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in self._alive:
            self._alive.add(id(storage))
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._forget, id(storage), size)
        return tensor

    def _count(self, tensor: Tensor) -> Tensor:
        return self._know(tensor, size=tensor.untyped_storage().nbytes())

    def _forget(self, key: int, size: int) -> None:
        self._alive.discard(key)
        self.now -= size


def peak_tflops(device: torch.device, rounds: int) -> float:
    """What the chip reaches in the product of two bfloat16 matrices, in 10^12 operations a second.

    The best of some sizes and rounds, so that nothing is called a share of less.
    """
    best = 0.0
    for side in (4096, 8192, 16384) if device.type == "cuda" else (1024, 2048):
        a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
        seconds = side_by_side({"matmul": partial(torch.matmul, a, a)}, rounds, device)["matmul"]
        best = max(best, 2 * side**3 / min(seconds) / 1e12)
    return best


class Operations(TorchDispatchMode):
    """Inside, counts floating-point operations, as torch knows them for each product."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        """Run an operation and add what it took."""
        made = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=made)
        return made
