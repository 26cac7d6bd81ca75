"""Graphed: what is recorded, what is not, and that autocast keeps no weights in the recording."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from pretended_gpu import GPU, pretended_gpu
from torch import Tensor
from trained import AT, QUICK, TRADES, InPlace, images, net, part

from partlib import checkpoints, models
from partlib.methods import Method
from partlib.preserve import untouched
from partlib.training import fit
from partlib.training.graphed import Graphed, fast_norms

Recorded = list[tuple[torch.Size, bool, bool]]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """The shapes that were recorded, and autocast and its cache meanwhile; replays run anew."""
    found: Recorded = []

    def record(run: Callable[[Tensor], Tensor], samples: tuple[Tensor]) -> Any:
        assert samples[0].requires_grad
        assert torch.is_grad_enabled()
        cached = torch.is_autocast_cache_enabled()
        found.append((samples[0].shape, torch.is_autocast_enabled("cuda"), cached))
        run(*samples)
        return run

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", record)
    with pretended_gpu():
        yield found


def test_the_first_shape_that_comes_again_is_recorded(recorded: Recorded) -> None:
    model = net().to(GPU).eval()
    fast, x = Graphed(model), torch.rand(4, 3, 12, 12).to(GPU)
    fast(x[:3])
    assert recorded == []
    for _ in range(3):
        assert torch.equal(fast(x), model(x))
    for _ in range(3):
        assert torch.equal(fast(x[:3]), model(x[:3]))
    assert recorded == [(x.shape, False, False)]


def test_training_mode_is_never_recorded(recorded: Recorded) -> None:
    fast, x = Graphed(net().to(GPU).train()), torch.rand(4, 3, 12, 12).to(GPU)
    for _ in range(3):
        fast(x)
    assert recorded == []


def test_nothing_is_recorded_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", None)
    fast, x = Graphed(net().eval()), torch.rand(4, 3, 12, 12)
    for _ in range(3):
        fast(x)
    settings = {"progress": False}
    model = net()
    fit(model, images(), AT, replace(QUICK, graphs=True), **settings)
    plain = net()
    fit(plain, images(), AT, QUICK, **settings)
    assert checkpoints.weights_sha256(model) == checkpoints.weights_sha256(plain)


@pytest.mark.parametrize("method", [AT, part(refresh=2), TRADES], ids=lambda m: m.name)
def test_a_training_records_one_shape_and_ends_as_without(
    method: Method, recorded: Recorded
) -> None:
    shas = []
    for graphs in (True, False):
        model = net().to(GPU)
        fit(model, images(), method, replace(QUICK, graphs=graphs), progress=False)
        shas.append(checkpoints.weights_sha256(model))
    assert shas[0] == shas[1]
    assert [shape[0] for shape, *_ in recorded] == [QUICK.batch_size], "and not the last batch's"


def test_a_network_that_normalises_in_place_is_recorded(recorded: Recorded) -> None:
    fast, x = Graphed(InPlace().to(GPU).eval()), torch.rand(4, 3, 12, 12).to(GPU)
    for _ in range(2):
        fast(x.clone())
    assert len(recorded) == 1


@pytest.mark.parametrize("name", ["small", "resnet18", "wrn"])
def test_a_fast_norm_has_the_same_passes(name: str) -> None:
    wide = models.wide_resnet(10, depth=10, width=1)
    model = (wide if name == "wrn" else models.build(name, 10, seed=0)).double()
    random = torch.Generator().manual_seed(0)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.dim() == 1:  # weights, shifts, means and variances of the norms, the head's bias
            tensor.data.uniform_(0.5, 2, generator=random)
    x = torch.rand(3, 3, 16, 16, dtype=torch.float64, generator=random).requires_grad_(True)
    found = []
    with untouched(model):
        for around in (nullcontext(), fast_norms(model)):
            with around:
                logits = model(x)
                found.append((logits, *torch.autograd.grad(logits.logsumexp(1).sum(), x)))
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-9, atol=1e-15)
    assert not any("forward" in vars(module) for module in model.modules())


def test_a_fast_norm_trains_as_ever() -> None:
    model, twin, x = net().train(), net().train(), torch.rand(4, 3, 12, 12)
    with fast_norms(model):
        logits = model(x)
    assert torch.equal(logits, twin(x))
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
