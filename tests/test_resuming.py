"""Training: exact to repeat and to resume, also when it is killed."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from trained import AT, CASES, QUICK, Killed, images, killed_after, net, part, trained

from partlib import checkpoints, methods
from partlib.methods import Method
from partlib.training import TrainConfig, fit

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("case", CASES)
def test_a_run_repeats_and_a_resumed_one_ends_in_the_same_bits(case: str, tmp_path: Path) -> None:
    method, config = CASES[case]
    whole = trained(method, config)
    torch.rand(7)  # the global random state plays no part
    assert trained(method, config) == whole
    for epoch in (1, 3):
        path = tmp_path / f"{epoch}.safetensors"
        with pytest.raises(Killed):
            trained(method, config, checkpoint=path, on_epoch=killed_after(epoch))
        # The network that goes on was drawn anew: all that counts is in the file.
        assert trained(method, config, checkpoint=path, seed=99) == whole


def test_what_should_change_a_run_changes_it() -> None:
    other = {
        "seed": trained(config=replace(QUICK, seed=1)),
        "pad": trained(config=replace(QUICK, pad=0)),
        "flip": trained(config=replace(QUICK, flip=True)),
        "clip": trained(config=replace(QUICK, clip=1e-3)),
        "decay": trained(config=replace(QUICK, weight_decay=0.5)),
        "bf16": trained(config=replace(QUICK, precision="bf16")),
        "batches": trained(max_batches=2),
        "first weights": trained(seed=1),
        "natural": trained(methods.natural()),
        "part": trained(part()),
        "snapshot": trained(part(refresh=2)),
        "none": trained(),
    }
    assert len(set(other.values())) == len(other)


def test_the_history_of_a_resumed_run_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with pytest.raises(Killed):
        trained(checkpoint=path, on_epoch=killed_after(2))
    called: list[float] = []
    history = fit(
        net(),
        images(),
        AT,
        QUICK,
        checkpoint=path,
        progress=False,
        on_epoch=lambda model, row: called.append(row["epoch"]),
    )
    plain = fit(net(), images(), AT, QUICK, progress=False)
    assert called == [3, 4]
    assert [{**row, "seconds": 0} for row in history] == [{**row, "seconds": 0} for row in plain]
    assert fit(net(), images(), AT, QUICK, checkpoint=path, progress=False) == history


CHILD = """
import os, signal, sys
from dataclasses import replace
from functools import partial
from pathlib import Path
import torch
sys.path[:0] = [{tests!r}, {root!r}]
torch.set_num_threads({threads})
import trained as t

seen = 0
def outer(*arguments):
    global seen
    seen += 1
    if seen == 11:  # in the middle of the third epoch of four batches
        os.kill(os.getpid(), signal.SIGKILL)
    return t.AT.outer(*arguments)

t.trained(replace(t.AT, outer=outer), checkpoint=Path({path!r}))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_run_that_is_really_killed_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    code = CHILD.format(
        tests=str(ROOT / "tests"),
        root=str(ROOT),
        threads=torch.get_num_threads(),
        path=str(path),
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(checkpoints.read_meta(path)["history"]) == 2
    assert trained(checkpoint=path, seed=99) == trained()


@pytest.mark.parametrize(
    ("method", "config", "settings"),
    [
        (AT, replace(QUICK, seed=1), {}),
        (AT, replace(QUICK, epochs=5), {}),
        (methods.at(steps=2, step_size=8 / 255), QUICK, {}),
        (part(), QUICK, {}),
        (AT, QUICK, {"max_batches": 2}),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    method: Method, config: TrainConfig, settings: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "c"
    trained(checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"checkpoint: .*c is of another run"):
        trained(method, config, checkpoint=path, **settings)
    with pytest.raises(ValueError, match="another run"):
        fit(net(), images(20), AT, QUICK, checkpoint=path, progress=False)
    with pytest.raises(ValueError, match="another run"):
        fit(net(), replace(images(), name="other"), AT, QUICK, checkpoint=path, progress=False)
    assert path.read_bytes() == before
