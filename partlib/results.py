"""Results: one JSON file a run, with all that is needed to run it again."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import partlib

PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "safetensors")


def environment(device: torch.device) -> dict[str, Any]:
    """What a figure may depend on: commit, versions, device and threads."""
    return {
        "commit": commit(),
        "versions": {
            "partlib": partlib.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        "device": device_name(device),
        "threads": torch.get_num_threads(),
    }


def commit() -> str | None:
    """The commit that the library runs from, "+" behind it if its code was changed since.

    None where the library is not in a git checkout.
    """
    here = Path(__file__).resolve().parent
    if not (here.parent / ".git").exists():
        return None
    head = _git(here, "rev-parse", "HEAD")
    changed = _git(here, "status", "--porcelain", "--", "*.py")
    return None if head is None else head + ("+" if changed else "")


def device_name(device: torch.device) -> str:
    """A name for people, such as "NVIDIA H200" or the processor's model."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        return str(torch.cpu.get_capabilities()["cpu_name"])
    except (AttributeError, KeyError):
        return platform.processor() or platform.machine()


def read(folder: Path | str) -> list[dict[str, Any]]:
    """All runs below a folder, in the order of their paths.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"folder: no results at {folder}")
    return [json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))]


def summary(runs: Iterable[dict[str, Any]], metrics: Iterable[str]) -> pd.DataFrame:
    """Mean, standard deviation over seeds (n - 1), and n, a row a label, a column a metric.

    Args:
        runs: what `read` returns; runs with the same `label` are seeds of one thing.
        metrics: names in each run's `metrics`.
    """
    rows = [{"label": r["label"], **{m: r["metrics"][m] for m in metrics}} for r in runs]
    table: pd.DataFrame = (
        pd.DataFrame(rows).groupby("label", sort=False).agg(["mean", "std", "count"])
    )
    return table


def _git(where: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=where, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
