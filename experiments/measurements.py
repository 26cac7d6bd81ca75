"""What is measured of a trained network, and what its result calls that."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from torch import nn

from partlib import evaluation
from partlib.data import ImageSet
from partlib.diagnose import diagnose

DIAGNOSED = 100
"""Test images on which signs of masked gradients are looked for."""
KEYS = {
    "attacks": "{}",
    "corruptions": "corruption/{}",
    "cams": "cam/{}/iou",
    "diagnose": "diagnose",
}
"""What a result calls that which was measured, by kind."""
GUESS = {"mma@3000": 45.0, "aa@1000": 240.0, "corruption": 35.0, "diagnose": 30.0}
"""Seconds beside a GPU for what takes long, until one has been measured; images are corrupted on
the processor."""


def can_measure(kind: str, name: str) -> bool:
    """Whether the package that a measurement needs is there."""
    needs = kind == "attacks" and name.partition("@")[0] == "aa"
    return not needs or find_spec("pyautoattack") is not None


def measured(
    model: nn.Module, test_set: ImageSet, kind: str, name: str, metrics: dict[str, float]
) -> dict[str, Any]:
    """What a result gets from one measurement: signs, or these metrics with more.

    Args:
        model: a trained network.
        test_set: the whole test set.
        kind: a key of `KEYS`.
        name: as `evaluation.evaluate` calls it; "" for "diagnose".
        metrics: those that the result has.
    """
    if kind == "diagnose":
        some = test_set[:DIAGNOSED].to(next(model.parameters()).device)
        report = diagnose(model, some.images, some.labels, steps=10)
        return {"diagnose": {f.name: f.passed for f in report.findings}}
    settings: dict[str, Any] = {"attacks": (), kind: (name,)}
    values = evaluation.evaluate(model, test_set, **settings, progress=True)
    return {"metrics": metrics | {key: round(value, 4) for key, value in values.items()}}


def say_measured(found: dict[str, Any], key: str, *, seconds: float, by: dict[str, Any]) -> None:
    """Write into a result what was measured last, how long it took, and by what command.

    Args:
        found: the result, changed in place. Those measured in a row by the same share an entry.
        key: what the result calls the measurement.
        seconds: how long it took.
        by: command, commit, versions, device and threads.
    """
    took = round(seconds, 1)
    found["seconds"]["evaluate"] = round(found["seconds"]["evaluate"] + took, 1)
    found["seconds"].setdefault("measure", {})[key] = took
    entries = found.setdefault("evaluated", [])
    if not entries or entries[-1] | by != entries[-1]:
        entries.append({**by, "measured": []})
    entries[-1]["measured"].append(key)
