"""Weights and checkpoints as safetensors: written whole or not at all, and read without pickle."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees either the old one or all of the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def check_writable(path: Path, *, name: str = "path") -> None:
    """Refuse, before the work whose result it is to hold, a file that could not be written.

    It only looks, and makes neither the file nor its folder.

    Args:
        path: the file, which may be there already.
        name: what the caller calls the path, for the message.

    Raises:
        ValueError: a folder, or in one that cannot be made or written to.
    """
    if path.is_dir():
        raise ValueError(f"{name}: a file is needed, found the folder {path}")
    nearest = next(folder for folder in path.absolute().parents if folder.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        why = "cannot be written to" if nearest.is_dir() else "is no folder"
        raise ValueError(
            f"{name}: a file that can be written is needed, found {path} ({nearest} {why})"
        )


def sweep(path: Path) -> None:
    """Remove what processes that were killed while writing a file have left beside it."""
    for part in path.parent.glob(".*.part"):
        name, _, pid = part.name.removesuffix(".part").rpartition(".")
        if name == f".{path.name}" and pid.isdecimal() and not _lives(int(pid)):
            part.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    """Whether there is such a process on this machine, which may still be writing."""
    if sys.platform == "win32":  # where signal 0 is no question
        return pid == os.getpid()
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all, one key a line, so that two files can be compared."""
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())


def save_weights(model: nn.Module, path: Path) -> None:
    """Write a model's weights and buffers."""
    write_bytes(path, save({k: _own(v) for k, v in model.state_dict().items()}))


def load_weights(model: nn.Module, path: Path) -> None:
    """Read weights that `save_weights` wrote into a model of the same shape.

    Raises:
        ValueError: no safetensors file, one that is cut off, or of other names or shapes; nothing
            was read into the model.
        FileNotFoundError: there is no such file.
    """
    tensors, _ = _read(path)
    found, wanted = (
        {k: tuple(v.shape) for k, v in of.items()} for of in (tensors, model.state_dict())
    )
    if found != wanted:
        name = min(k for k in found.keys() | wanted.keys() if found.get(k) != wanted.get(k))
        raise ValueError(
            f"path: {path} holds the weights of another network: {name} is {found.get(name)} there "
            f"and {wanted.get(name)} here"
        )
    model.load_state_dict(tensors)


def weights_sha256(model: nn.Module) -> str:
    """The sha256 of all weights and buffers, names, shapes and types included."""
    return tensors_sha256(model.state_dict())


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """The sha256 of tensors on any device, their names, shapes and types included."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        value = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_state(
    path: Path,
    models: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    meta: dict[str, Any],
) -> None:
    """Write all that a run needs to go on, whole or not at all.

    Args:
        path: the file.
        models: by name, the modules whose weights and buffers are kept.
        optimizer: its state is kept, its settings are not.
        meta: what else there is, as JSON can hold it.
    """
    tensors = {
        f"{part}.{k}": _own(v)
        for part, model in models.items()
        for k, v in model.state_dict().items()
    }
    for i, slots in optimizer.state_dict()["state"].items():
        for k, v in slots.items():
            if v is not None:
                tensors[f"optimizer.{i}.{k}"] = _own(torch.as_tensor(v))
    write_bytes(path, save(tensors, metadata={"meta": json.dumps(meta)}))


def load_state(
    path: Path, models: dict[str, nn.Module], optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Read what `save_state` wrote into the models and the optimizer.

    Args:
        path: the file.
        models: modules of the names and shapes that were written.
        optimizer: one of the same weights.

    Returns:
        The `meta` that was written.

    Raises:
        ValueError: the file holds other modules, or of other shapes or types, or is no whole
            safetensors file; nothing was read into them.
    """
    tensors, meta = _read(path)
    own = {f"{n}.{k}": v for n, m in models.items() for k, v in m.state_dict().items()}
    wanted = {k: (v.shape, v.dtype) for k, v in own.items()}
    kept = {k: v for k, v in tensors.items() if not k.startswith("optimizer.")}
    found = {k: (v.shape, v.dtype) for k, v in kept.items()}
    if found != wanted:
        raise ValueError(f"path: {path} holds other networks than {', '.join(models)} here")
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            i, _, key = rest.partition(".")
            weight = weights[int(i)]
            if tensor.shape == weight.shape:  # fused optimizers pair values by place in memory
                tensor = torch.empty_like(weight, dtype=tensor.dtype).copy_(tensor)
            state.setdefault(int(i), {})[key] = tensor
    for part, model in models.items():
        prefix = f"{part}."
        model.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    loaded: dict[str, Any] = json.loads(meta["meta"])
    return loaded


def read_meta(path: Path, *, name: str = "path") -> dict[str, Any]:
    """The `meta` of a checkpoint, without its tensors.

    Args:
        path: the file.
        name: what the caller calls the path, for the message.

    Raises:
        ValueError: no whole safetensors file, or one that `save_state` did not write.
    """
    with _opened(path, name) as file:
        found = file.metadata() or {}
    if "meta" not in found:
        raise ValueError(f"{name}: a checkpoint is needed, {path} holds tensors alone")
    loaded: dict[str, Any] = json.loads(found["meta"])
    return loaded


def _own(tensor: Tensor) -> Tensor:
    """A copy in memory of its own, since a file takes no two names for the same memory."""
    return tensor.detach().cpu().contiguous().clone()


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with _opened(path, "path") as file:
        names = file.keys()
        return {k: file.get_tensor(k) for k in names}, file.metadata() or {}


@contextmanager
def _opened(path: Path, name: str) -> Iterator[Any]:
    try:
        with safe_open(str(path), framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(
            f"{name}: a whole safetensors file is needed, {path} is none ({error})"
        ) from error
