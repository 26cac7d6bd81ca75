"""Several processes train the network that one process trains."""

import functools
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor, nn
from trained import AT, QUICK, images, net, part

from partlib import attacks, checkpoints, methods
from partlib.methods import Method
from partlib.training import fit, processes

ROOT = Path(__file__).parents[1]
# Batches of 15 of 50 images: shares of 7 and 8, at last of 2 and 3. Not AdamW, which would blow up
# the rounding of gradients that are zero.
CONFIG = replace(QUICK, epochs=3, batch_size=15, flip=True, optimizer="sgd", lr=0.05)
CASES: dict[str, Method] = {
    "at": AT,
    "part": part(refresh=2),
    "trades": methods.trades(steps=1, step_size=8 / 255),
}


def train(method: Method, **settings: Any) -> tuple[nn.Module, list[dict[str, float]]]:
    """A run, and what it wrote down but times; AT ends with its best epoch, the others at last."""
    model = net().double()
    val_set = images(9) if method is AT else None
    rows = fit(model, images(), method, CONFIG, val_set=val_set, progress=False, **settings)
    return model, [{**row, "seconds": 0} for row in rows]


class Stopped(Exception):
    """What ends both processes' training in the same batch."""


def stopping(method: Method, after: int) -> Method:
    seen = 0

    @functools.wraps(method.outer)
    def outer(*arguments: Any) -> tuple[Tensor, Tensor]:
        nonlocal seen
        seen += 1
        if seen > after:
            raise Stopped
        return method.outer(*arguments)

    return replace(method, outer=outer)


def one_of_two(rank: int, folder: Path) -> None:
    """What each of the two processes does; its findings are files."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    exchanges = 0
    all_reduce, pgd = dist.all_reduce, attacks.pgd

    def counted(*arguments: Any, **settings: Any) -> Any:
        nonlocal exchanges
        exchanges += 1
        return all_reduce(*arguments, **settings)

    def quiet(model: nn.Module, *arguments: Any, **settings: Any) -> Tensor:
        before = exchanges
        x_adv = pgd(model, *arguments, **settings)
        assert type(model) is type(net()), "attacks see the bare network"
        assert exchanges == before, "and exchange nothing"
        return x_adv

    dist.all_reduce, attacks.pgd = counted, quiet
    called: list[float] = []
    for case, method in CASES.items():
        model, rows = train(method, on_epoch=lambda _, row: called.append(row["epoch"]))
        checkpoints.save_weights(model, folder / f"{case}-{rank}")
        (folder / f"{case}-{rank}.json").write_text(json.dumps(rows))
    assert exchanges > 0
    path = folder / "checkpoint"
    try:
        train(stopping(CASES["part"], 5), checkpoint=path)
    except Stopped:
        model, _ = train(CASES["part"], checkpoint=path)
        checkpoints.save_weights(model, folder / f"resumed-{rank}")
    dist.barrier()
    errors = []
    with pytest.raises(ValueError, match="checkpoint") as caught:
        train(CASES["part"], checkpoint=folder / "none" if rank else path)
    errors.append(str(caught.value))
    with pytest.raises(ValueError, match="batch_size") as caught:
        fit(net(), images(), AT, replace(CONFIG, batch_size=1), progress=False)
    errors.append(str(caught.value))
    (folder / f"said-{rank}.json").write_text(json.dumps([called, errors]))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    code = (
        f"import sys, torch; sys.path[:0] = [{str(ROOT / 'tests')!r}, {str(ROOT)!r}]\n"
        "torch.set_num_threads(1)\n"
        "import test_processes; from pathlib import Path\n"
        f"test_processes.one_of_two(int(sys.argv[1]), Path({str(folder)!r}))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(rank)], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    for child in running:
        _, said = child.communicate(timeout=120)
        assert child.returncode == 0, said
    return folder


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(case: str, both: Path) -> None:
    model, rows = train(CASES[case])
    ours = model.state_dict()
    for rank in range(2):
        theirs = load_file(both / f"{case}-{rank}")
        assert theirs.keys() == ours.keys()
        for name, value in ours.items():
            torch.testing.assert_close(theirs[name], value, rtol=0, atol=1e-9)
    first, second = (json.loads((both / f"{case}-{rank}.json").read_text()) for rank in range(2))
    assert first == second, "both know the whole batch's figures"
    for mine, other in zip(rows, first, strict=True):
        assert other.pop("one_class") >= mine.pop("one_class"), "of a share, not of the batch"
        assert other == pytest.approx(mine, abs=1e-4)
    start = net().double().state_dict()
    assert not torch.allclose(start["features.0.weight"], ours["features.0.weight"], atol=1e-3)


def test_two_processes_go_on_in_the_same_bits(both: Path) -> None:
    for rank in range(2):
        assert (both / f"resumed-{rank}").read_bytes() == (both / f"part-{rank}").read_bytes()


def test_the_first_speaks_and_both_refuse(both: Path) -> None:
    for rank in range(2):
        called, errors = json.loads((both / f"said-{rank}.json").read_text())
        assert called == ([] if rank else [1, 2, 3] * 3)
        assert errors == [
            "checkpoint: the same is needed in all processes, found [3, 0]",
            "batch_size: an image for each of 2 processes is needed in every batch, found one of 1",
        ]


def test_alone_nothing_is_exchanged_or_wrapped() -> None:
    model = net()
    assert (processes.rank(), processes.size()) == (0, 1)
    assert processes.learner(model) is model
    assert processes.share(7) == slice(0, 7)
    value = torch.ones(2)
    assert processes.total(value) is value
    with processes.started():
        assert not dist.is_initialized()
    assert processes.command() == "python -m partlib "


def test_what_torchrun_started_meets_and_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    names = ("TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    for name, value in zip(names, ("one", "0", "1", "localhost", str(port)), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with processes.started():
        assert dist.get_backend() == "gloo"
        with processes.started():  # by its caller already
            assert (processes.rank(), processes.size()) == (0, 1)
        assert dist.is_initialized()
    assert not dist.is_initialized()


@pytest.mark.parametrize("settings", [{}, {"momentum": None}, {"affine": False}])
@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d])
def test_batch_normalisation_is_pytorchs_own(kind: Any, settings: dict[str, Any]) -> None:
    draws = torch.Generator().manual_seed(0)
    shape = (6, 3) if kind is nn.BatchNorm1d else (6, 3, 4, 5)
    ours, theirs = kind(3, **settings).double(), kind(3, **settings).double()
    ours.__class__ = processes._WholeBatchNorm
    for train in (True, True, False):
        x = (5 + torch.randn(shape, generator=draws)).double()
        found = []
        for norm in (ours, theirs):
            leaf = x.clone().requires_grad_()
            out = norm.train(train)(leaf)
            out.square().sum().sin().backward()
            gradients = [leaf.grad, *(p.grad for p in norm.parameters())]
            found.append([out.detach(), *gradients, *norm.buffers()])
        for mine, other in zip(*found, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)
    half = torch.randn(shape, generator=draws).bfloat16()
    assert ours.float().train()(half).dtype == torch.bfloat16


@pytest.mark.slow
def test_torchrun_makes_one_run(tmp_path: Path) -> None:
    arguments = ["--n-train", "32", "--n-test", "10", "--epochs", "1", "--json"]
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", "-m"]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, *launcher, "partlib", "train", "scene-digits", "at", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    folder = tmp_path / "runs" / "scene-digits-small-at-seed0"
    assert json.loads((folder / "result.json").read_text()) == record
    assert record["processes"] == 2
    assert record["command"].startswith("torchrun --nproc-per-node=2 -m partlib train scene-digits")
