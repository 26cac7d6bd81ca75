"""What a figure may depend on besides the code's settings: commit, versions, device, threads."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import partlib

PACKAGES = (
    "torch", "torchvision", "numpy", "scipy", "scikit-learn", "pillow", "safetensors",
    "pyautoattack",
)  # fmt: skip


def describe(device: torch.device) -> dict[str, Any]:
    """Commit, versions, device and threads, as a result has them."""
    return {
        "commit": commit(),
        "versions": {
            "partlib": partlib.__version__,
            "python": platform.python_version(),
            **{name: found for name in PACKAGES if (found := _version(name))},
        },
        "device": device_name(device),
        "threads": torch.get_num_threads(),
    }


def commit() -> str | None:
    """The commit that the code runs from, "+" if library or experiments were changed since.

    Outside a git checkout it is what the environment says, as PARTLIB_COMMIT, or None.
    """
    top = Path(__file__).resolve().parents[1]
    if not (top / ".git").exists():
        return os.environ.get("PARTLIB_COMMIT")
    head = _git(top, "rev-parse", "HEAD")
    changed = _git(top, "status", "--porcelain", "--", "partlib/*.py", "experiments/*.py")
    return None if head is None else head + ("+" if changed else "")


def device_name(device: torch.device) -> str:
    """A name for people, such as "NVIDIA H200", or the processor's model and vector instructions.

    With others of these a processor ends in other bits.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        name = str(torch.cpu.get_capabilities()["cpu_name"])
    except (AttributeError, KeyError):
        name = platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # one for AutoAttack alone
        return None


def _git(where: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=where, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
