"""What a run must agree with: the result that it has, and the other results of its grid."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from partlib import training
from partlib.methods import Method
from partlib.recipes import Recipe


def check_plan(record: Path, chosen: Recipe, method: Method) -> None:
    """Refuse a result that was made by another plan than the label's.

    Raises:
        ValueError: names the label's result, and what differs.
    """
    found = json.loads(record.read_text())
    for key, value in {"config": chosen.config.record(), "method": dict(method.settings)}.items():
        if found[key] != value:
            raise ValueError(f"label: {record} was made with the {key} {found[key]}, not {value}")


def check_precision(results: Path, chosen: Recipe, device: torch.device) -> None:
    """Refuse to train in what "auto" is here, where the other results are of another precision.

    Raises:
        ValueError: names both.
    """
    here = "bf16" if training.uses_bf16(device, chosen.config.precision) else "fp32"
    if chosen.config.precision != "auto":
        return
    for path in results.glob("*-seed*.json"):
        found = json.loads(path.read_text())
        if found["config"]["precision"] == "auto" and found["precision"] != here:
            raise ValueError(
                f"precision: {found['precision']}, as in the grid's other results, is needed, "
                f'but "auto" is {here} on this {device.type}; where a label that ends in -fp32 is '
                "planned, it takes float32 anywhere"
            )
