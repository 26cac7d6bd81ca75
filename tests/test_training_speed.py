"""Training: precision, compilation and memory format as asked for, and nothing else."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trained import AT, QUICK, TRADES, Killed, images, killed_after, net, part, trained

from partlib import checkpoints, evaluation, training
from partlib.methods import Method
from partlib.models import Classifier
from partlib.training import fit


@pytest.mark.parametrize(
    ("precision", "has_bf16", "expected"),
    [
        ("fp32", True, torch.float32),
        ("bf16", False, torch.bfloat16),
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float32),
    ],
)
def test_precision_is_what_was_asked_for_whatever_is_around(
    precision: Any, has_bf16: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    found: set[torch.dtype] = set()
    model = net()
    model.head.register_forward_hook(lambda *a: found.add(a[-1].dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fit(model, images(20), AT, replace(QUICK, epochs=1, precision=precision), progress=False)
    assert found == {expected}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert training.uses_bf16(torch.device("cpu"), precision) == (expected == torch.bfloat16)
    assert not training.uses_bf16(torch.device("meta"), "auto")


@pytest.mark.parametrize("method", [AT, part(refresh=2), TRADES], ids=lambda m: m.name)
def test_compiled_training_keeps_modes_hooks_and_names(
    method: Method, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = replace(QUICK, compile=True)
    assert config.record() == {**QUICK.record(), "compile": True}
    graphs: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        """Runs what was traced for the compiler by PyTorch's own kernels, to compare bits."""
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    whole = trained(method)
    model = net()
    calls: list[str] = []
    model.register_forward_hook(lambda *_: calls.append("a hook"))
    fit(model, images(), method, config, progress=False)
    assert checkpoints.weights_sha256(model) == whole
    assert len(calls) >= 2 * 16 - 1, "an attack and a descent a step; the ramp begins at none"
    assert len(graphs) >= 4, "attack and descent, each for two sizes of a batch"
    assert type(model) is Classifier
    path = tmp_path / "c"
    with pytest.raises(Killed):
        trained(method, config, checkpoint=path, on_epoch=killed_after(1))
    assert trained(method, config, checkpoint=path, seed=99) == whole


@pytest.mark.slow
def test_a_compiled_network_trains_as_a_plain_one() -> None:
    config = replace(QUICK, lr=2e-2, batch_size=80)
    compiled, plain = net(), net()
    start = evaluation.predict(plain, images().images)
    losses = [
        [row["loss"] for row in fit(model, images(160), AT, one, progress=False)]
        for model, one in ((compiled, replace(config, compile=True)), (plain, config))
    ]
    assert losses[0] == pytest.approx(losses[1], abs=0.01)
    ours, theirs = (evaluation.predict(model, images().images) for model in (compiled, plain))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.1)
    assert (ours - start).abs().max() > 0.3


def test_the_kernels_are_the_fast_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    formats: set[bool] = set()
    fused: set[bool] = set()
    step = torch.optim.SGD.step

    def outer(model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        formats.update(t.is_contiguous(memory_format=torch.channels_last) for t in (x, x_adv))
        return AT.outer(model, x, x_adv, y)

    def spy(self: torch.optim.SGD, *arguments: Any) -> Any:
        fused.add(self.defaults["fused"])
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.SGD, "step", spy)
    model = net()
    config = replace(QUICK, epochs=1, optimizer="sgd")
    fit(model, images(), replace(AT, outer=outer), config, progress=False)
    weight = model.get_parameter("features.3.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
    assert (formats, fused) == ({True}, {True})


def test_fp32_switches_any_autocast_off() -> None:
    a = torch.rand(4, 4)
    cpu = torch.device("cpu")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16
        with training.mixed_precision(cpu, "fp32"):
            assert (a @ a).dtype == torch.float32
    with training.mixed_precision(cpu, "bf16"):
        assert (a @ a).dtype == torch.bfloat16
