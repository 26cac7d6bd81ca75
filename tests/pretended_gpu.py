"""A GPU that is not there: tensors that say they are on it, and refuse to meet those that are not.

The sums are done by the processor. What is told apart is where each tensor would be, so a test
finds, on any machine, the line that a GPU would have stopped at: "expected all tensors to be on the
same device". Speed, precision, and what happens inside a backward pass are not pretended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


class Generator(torch.Generator):
    """A source of random numbers that remembers the device it was asked for."""

    device = CPU

    def __new__(cls, device: Any = "cpu") -> Generator:
        made: Generator = super().__new__(cls)
        made.device = torch.device(device)
        return made


def put(value: Any, device: torch.device) -> Any:
    """Say of all tensors in it that they are on the device."""

    def mark(tensor: Tensor) -> Tensor:
        tensor.pretended = device.type  # type: ignore[attr-defined]
        return tensor

    return tree_map_only(Tensor, mark, value)


def on(tensor: Tensor) -> torch.device:
    """Where a tensor is said to be."""
    return GPU if tensor.__dict__.get("pretended") == "cuda" else CPU


class PretendedGPU(TorchFunctionMode):
    """Follows each tensor through each function of torch."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        owner = getattr(func, "__self__", None)
        if name == "__get__" and owner is Tensor.device:
            return on(args[0])
        if name == "__get__" and owner is Tensor.is_cuda:
            return on(args[0]) == GPU
        if func is torch._has_compatible_shallow_copy_type:
            return True  # so that a module that moves keeps its parameters
        found = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        places = {on(t) for t in found if t.dim() > 0} or {on(t) for t in found} or {CPU}
        source = kwargs.get("generator")
        wanted = None
        if func is Tensor.to:
            args, wanted = list(args), None
            for i, value in enumerate(args[1:], 1):
                if isinstance(value, (str, torch.device)):
                    wanted, args[i] = torch.device(value), CPU
                elif isinstance(value, Tensor):
                    wanted = on(value)
            places = {on(args[0])}
        elif func is Tensor.cpu:
            wanted, places = CPU, {on(args[0])}
        elif func is Tensor.cuda:
            func, wanted, places = Tensor.clone, GPU, {on(args[0])}
        elif func in (Tensor.numpy, Tensor.__array__) and GPU in places:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        elif name == "__set__" and owner in (Tensor.data, Tensor.grad) and len(found) == 2:
            places = {on(args[1])}
            if owner is Tensor.data:
                put(args[0], on(args[1]))
        elif func in (Tensor.copy_, Tensor.__setitem__):
            places = {on(args[0])}
        elif func is Tensor.__getitem__:
            if on(args[0]) == CPU and GPU in places:
                raise RuntimeError("indices should be either on cpu or on the indexed tensor")
            places = {on(args[0])}
        if kwargs.get("device") is not None:
            wanted = torch.device(kwargs["device"])
            kwargs["device"] = CPU
        if len(places) > 1:
            where = [f"{tuple(t.shape)} on {on(t)}" for t in found]
            raise RuntimeError(f"{func}: expected all tensors on the same device, found {where}")
        there = wanted or places.pop()
        if isinstance(source, torch.Generator):
            asked = source.device if isinstance(source, Generator) else CPU
            if asked.type != there.type:
                raise RuntimeError(f"{func}: expected a {there} generator, found one of {asked}")
        if func is Tensor.__iter__:
            return iter(put(args[0].unbind(0), there))
        result = func(*args, **kwargs)
        if wanted is not None and any(result is t for t in found) and on(result) != there:
            result = result.clone()
        return put(result, there)


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """Inside, `runs.best_device` is a GPU that is not there."""
    copied = nn.Parameter.__deepcopy__

    def copy(self: nn.Parameter, memo: Any) -> Any:
        return put(copied(self, memo), on(self))

    with (
        mock.patch("partlib.runs.best_device", return_value=GPU),
        mock.patch("torch.Generator", Generator),
        mock.patch.multiple(
            "torch.cuda",
            is_bf16_supported=mock.Mock(return_value=False),
            get_device_name=mock.Mock(return_value="a GPU that is not there"),
            max_memory_allocated=mock.Mock(return_value=0),
            reset_peak_memory_stats=mock.Mock(),
            synchronize=mock.Mock(),
        ),
        mock.patch.object(nn.Parameter, "__deepcopy__", copy),
        PretendedGPU(),
    ):
        yield
