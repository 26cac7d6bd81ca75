"""A run that is killed at any moment goes on, and ends in the same bits."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from trained import QUICK, images, net, part

from partlib import checkpoints
from partlib.training import fit

ROOT = Path(__file__).parents[1]
MOMENTS = 20
CONFIG = replace(QUICK, epochs=8, lr=2e-2)


def run(folder: Path) -> None:
    """A run with all that a checkpoint can hold: a snapshot for masks, and the best epoch."""
    model = net()
    fit(
        model, images(), part(refresh=2), CONFIG, val_set=images(10),
        checkpoint=folder / "checkpoint", progress=False,
    )  # fmt: skip
    checkpoints.sweep(folder / "weights")
    checkpoints.save_weights(model, folder / "weights")


def killed(folder: Path, after: float | None) -> float:
    """The run in a process of its own, killed after so many seconds; how long it took."""
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        try:
            run(folder)
            os._exit(0)
        finally:
            os._exit(1)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert after is not None or status == 0
    return time.perf_counter() - start


def everything(folder: Path) -> list[Any]:
    """The weights that a run ended with, and all that its checkpoint holds but times."""
    path = folder / "checkpoint"
    history = checkpoints.read_meta(path)["history"]
    tensors = [(k, v.numpy().tobytes()) for k, v in sorted(load_file(path).items())]
    weights = (folder / "weights").read_bytes()
    return [weights, tensors, [{**row, "seconds": 0} for row in history]]


def all_moments(folder: Path) -> None:
    """Runs, kills and resumes; each finding is asserted, and the epochs reached are printed."""
    torch.set_num_threads(1)
    moments = random.Random(0)
    for name in ("warm", "whole"):
        took = killed(folder / name, None)
    expected = everything(folder / "whole")
    reached = []
    for moment in range(MOMENTS):
        here = folder / str(moment)
        killed(here, moments.uniform(0, took))
        path = here / "checkpoint"
        if path.exists():
            load_file(path)
            reached.append(len(checkpoints.read_meta(path)["history"]))
        else:
            reached.append(0)
        killed(here, None)
        assert sorted(os.listdir(here)) == ["checkpoint", "weights"], "nothing half-written is left"
        assert everything(here) == expected, f"killed after epoch {reached[-1]}"
    print(*reached)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_twenty_runs_killed_at_random_moments_end_in_the_same_bits(tmp_path: Path) -> None:
    # Children are forked from a process without threads: to start Python 40 times takes minutes.
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT / 'tests')!r}, {str(ROOT)!r}]\n"
        "import test_kill; from pathlib import Path\n"
        f"test_kill.all_moments(Path({str(tmp_path)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    reached = [int(word) for word in done.stdout.split()]
    assert len(reached) == MOMENTS
    assert len({epoch for epoch in reached if epoch < CONFIG.epochs}) >= 4, "many moments"
