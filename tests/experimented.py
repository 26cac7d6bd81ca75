"""The grids of runs, and a small one whose runs take a second."""

from pathlib import Path
from typing import Any

import pytest
import torch

from experiments import (
    cifar10_resnet18,
    cifar10_small,
    grids,
    plans,
    scene_digits,
    svhn_resnet18,
    svhn_small,
    tiny_imagenet_small,
    tiny_imagenet_wrn,
)
from experiments.grids import Grid
from partlib.recipes import recipe

GRIDS = {
    module.grid.module: (module.grid, module.GROUPS)
    for module in (
        scene_digits,
        cifar10_small,
        cifar10_resnet18,
        svhn_small,
        svhn_resnet18,
        tiny_imagenet_small,
        tiny_imagenet_wrn,
    )
}


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grid:
    monkeypatch.setattr(plans, "ROOT", tmp_path)
    small = recipe("scene-digits/small").with_config(epochs=2, batch_size=32)
    cut = {"n_train": 64, "n_test": 40}
    load, whole = grids.data.load, grids.runs.run
    monkeypatch.setattr(grids.data, "load", lambda *a, n=None, **k: load(*a, n=n or 40, **k))
    monkeypatch.setattr(grids.runs, "run", lambda *a, **k: whole(*a, **k | cut, progress=False))
    return Grid(module="trial", recipe=small, cams=("grad_cam",))


def trained_with(
    monkeypatch: pytest.MonkeyPatch,
) -> list[tuple[int, str, str | None]]:
    """The threads and device of each training from now on, and its command."""
    seen: list[tuple[int, str, str | None]] = []
    whole = grids.runs.run

    def run(*arguments: Any, **settings: Any) -> Any:
        seen.append((torch.get_num_threads(), str(settings["device"]), settings["command"]))
        return whole(*arguments, **settings)

    monkeypatch.setattr(grids.runs, "run", run)
    return seen
