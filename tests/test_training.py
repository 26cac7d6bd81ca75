"""Training: exact to repeat and resume, the budget where and when it should be, and it learns."""

import math
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from partlib import attacks, checkpoints, evaluation, methods, training
from partlib.budgets import from_mask
from partlib.data import ImageSet
from partlib.methods import Method
from partlib.models import Classifier, PooledLinear
from partlib.training import TrainConfig, fit, learning_rate

ROOT = Path(__file__).parents[1]
QUICK = TrainConfig(epochs=4, batch_size=16, lr=5e-3, precision="fp32")
AT = methods.at(steps=1, step_size=8 / 255)
TRADES = methods.trades(steps=1, step_size=8 / 255)


def images(n: int = 50) -> ImageSet:
    """Two classes, dark and bright, with noise on them."""
    random = np.random.default_rng(0)
    labels = np.arange(n) % 2
    noise = random.integers(0, 60, (n, 3, 12, 12))
    pixels = (noise + 60 + 80 * labels[:, None, None, None]).astype(np.uint8)
    return ImageSet(
        name="tones",
        split="train",
        pixels=torch.from_numpy(pixels),
        labels=torch.from_numpy(labels),
        class_names=("dark", "bright"),
    )


def net(seed: int = 0) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = (nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1))
        return Classifier(nn.Sequential(*layers), PooledLinear(8, 2))


def trained(method: Method = AT, config: TrainConfig = QUICK, **settings: Any) -> str:
    model = net(settings.pop("seed", 0))
    fit(model, images(), method, config, progress=False, **settings)
    return checkpoints.weights_sha256(model)


def part(**settings: Any) -> Method:
    return methods.part(AT, eps_low=2 / 255, **settings)


class Killed(BaseException):
    """What nothing catches."""


def killed_after(epoch: int) -> Callable[[nn.Module, dict[str, float]], None]:
    def on_epoch(model: nn.Module, row: dict[str, float]) -> None:
        if row["epoch"] == epoch:
            raise Killed

    return on_epoch


CASES = {
    "natural": (methods.natural(), QUICK),
    "at": (AT, QUICK),
    "sgd": (AT, replace(QUICK, optimizer="sgd", schedule="steps", milestones=(2,), clip=0)),
    "bf16": (AT, replace(QUICK, precision="bf16")),
    "part": (part(), QUICK),
    "part, snapshot": (part(refresh=2), QUICK),
    "part, warmup": (part(refresh=3, warmup=1), replace(QUICK, flip=True)),
}


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
import test_training as t

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


def test_one_cycle_rises_to_its_peak_and_falls_to_nothing() -> None:
    config = TrainConfig(lr=0.2)
    rates = [learning_rate(config, step, 100) for step in range(101)]
    rise = rates.index(max(rates)) + 1
    assert 10 <= rise <= 40
    assert max(rates) == pytest.approx(0.2)
    assert rates[:rise] == pytest.approx([0.2 * (i + 1) / rise for i in range(rise)])
    fall = 100 - rise
    assert rates[rise:] == pytest.approx(
        [0.1 * (1 + math.cos(math.pi * i / fall)) for i in range(fall + 1)], abs=1e-12
    )
    assert 0 < rates[99] < 1e-3
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert learning_rate(config, 0, 1) == pytest.approx(0.2), "one step is taken at the peak"


def test_steps_divide_at_the_milestones() -> None:
    config = TrainConfig(epochs=10, lr=1.0, schedule="steps", milestones=(4, 8))
    rates = [learning_rate(config, step, 70) for step in range(70)]
    assert rates == pytest.approx([1.0] * 28 + [0.1] * 28 + [0.01] * 14)


def test_training_uses_the_learning_rate_of_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[float] = []
    step = torch.optim.SGD.step

    def spy(self: torch.optim.SGD, *arguments: Any) -> Any:
        used.append(self.param_groups[0]["lr"])
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.SGD, "step", spy)
    config = replace(QUICK, optimizer="sgd", epochs=3)
    history = fit(net(), images(), methods.natural(), config, progress=False)
    assert used == [learning_rate(config, i, 12) for i in range(12)]
    assert [row["lr"] for row in history] == used[3::4]


def test_the_ramp_scales_budget_and_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[float, float]] = []

    def spy(model: nn.Module, x: Tensor, y: Tensor, eps: float, **settings: Any) -> Tensor:
        calls.append((eps, settings["step_size"]))
        return x

    monkeypatch.setattr(attacks, "pgd", spy)
    method = methods.at(eps=8 / 255, steps=2, step_size=4 / 255)
    history = fit(net(), images(64), method, replace(QUICK, ramp=0.5), progress=False)
    ramp = [min(1, i / 8) for i in range(16)]
    assert calls == [pytest.approx((r * 8 / 255, r * 4 / 255)) for r in ramp if r]
    means = [8 * sum(ramp[4 * e : 4 * e + 4]) / 4 for e in range(4)]
    assert [row["mean_eps"] for row in history] == pytest.approx(means)
    calls.clear()
    fit(net(), images(64), method, replace(QUICK, ramp=0.0), progress=False)
    assert calls == [pytest.approx((8 / 255, 4 / 255))] * 16


@pytest.mark.parametrize("case", ["natural", "at", "part"])
def test_a_loss_that_is_not_finite_is_said_with_advice(case: str, tmp_path: Path) -> None:
    method, config = CASES[case]
    config = replace(config, lr=1e30, clip=0, ramp=0)
    path = tmp_path / "c"
    with pytest.raises(FloatingPointError, match=r"the loss is .* lower lr .*1e\+30.*ramp.*clip=1"):
        trained(method, config, checkpoint=path)
    assert not path.exists(), "a broken network is not kept"


def test_a_network_that_only_evaluation_finds_broken_is_stopped_too() -> None:
    model = net()
    model.get_buffer("features.1.running_mean").fill_(torch.nan)  # not used by the loss
    with pytest.raises(FloatingPointError, match="the loss is nan in epoch 1"):
        fit(model, images(), AT, replace(QUICK, ramp=0.0), progress=False)


def test_bad_input_is_not_taken_for_a_loss_that_diverged() -> None:
    method = replace(AT, step_size=-1.0)
    with pytest.raises(ValueError, match="step_size"):
        trained(method, replace(QUICK, ramp=0))


@pytest.mark.parametrize(("refresh", "warmup"), [(1, 0), (2, 0), (3, 0), (2, 1), (10, 2)])
def test_the_guide_is_the_model_or_a_snapshot_renewed_on_time(refresh: int, warmup: int) -> None:
    epoch = 0
    guides: dict[int, set[str]] = {}
    models: dict[int, str] = {}
    model = net()

    def rule(guide: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        assert (guide is model) == (refresh == 1)
        guides.setdefault(epoch, set()).add(checkpoints.weights_sha256(guide))
        return from_mask(x.mean(dim=1) > 0.4, 8 / 255, 2 / 255)

    def on_epoch(_: nn.Module, row: dict[str, float]) -> None:
        nonlocal epoch
        epoch = int(row["epoch"])
        models[epoch] = checkpoints.weights_sha256(model)

    models[0] = checkpoints.weights_sha256(model)
    method = replace(part(refresh=refresh, warmup=warmup), rule=rule)
    config = replace(QUICK, epochs=6, ramp=0.0)
    history = fit(model, images(48), method, config, progress=False, on_epoch=on_epoch)
    assert sorted(guides) == list(range(warmup, 6)), "no mask is taken in the warm-up"
    for e, seen in guides.items():
        if refresh == 1:
            assert len(seen) == 3, "each batch is seen by the newest model"
            assert models[e] in seen
        else:
            assert seen == {models[e - (e - warmup) % refresh]}
    means = [row["mean_eps"] for row in history]
    assert means[:warmup] == pytest.approx([8] * warmup)
    assert all(2 < mean < 7.9 for mean in means[warmup:])


def test_the_mask_is_of_the_very_batch_that_is_attacked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    pgd = attacks.pgd
    checked = 0

    def rule(guide: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        budget = from_mask(x.mean(dim=1) > 0.4, 8 / 255, 2 / 255)
        seen.append((x.clone(), budget))
        return budget

    def spy(model: nn.Module, x: Tensor, y: Tensor, eps: Tensor, **settings: Any) -> Tensor:
        nonlocal checked
        assert torch.equal(x, seen[-1][0])
        assert torch.equal(eps, seen[-1][1])
        checked += 1
        return pgd(model, x, y, eps, **settings)

    monkeypatch.setattr(attacks, "pgd", spy)
    fit(net(), images(), replace(part(), rule=rule), replace(QUICK, ramp=0.0), progress=False)
    assert checked == len(seen) == 16
    originals = {row.numpy().tobytes() for row in images().images}
    attacked = {row.numpy().tobytes() for x, _ in seen for row in x.contiguous()}
    assert attacked - originals, "the batch is augmented before it is attacked"


def test_an_epoch_sees_every_image_once_with_its_label() -> None:
    counts: list[dict[tuple[bytes, int], int]] = []
    orders: list[bytes] = []

    def outer(model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        orders.append(x.contiguous().numpy().tobytes())
        for row, label in zip(x.contiguous(), y, strict=True):
            key = (row.numpy().tobytes(), int(label))
            counts[-1][key] = counts[-1].get(key, 0) + 1
        return AT.outer(model, x, x_adv, y)

    counts.append({})
    fit(
        net(),
        images(),
        replace(methods.natural(), outer=outer),
        replace(QUICK, epochs=2, pad=0),
        progress=False,
        on_epoch=lambda *_: counts.append({}),
    )
    s = images()
    whole = {(x.numpy().tobytes(), int(y)): 1 for x, y in zip(s.images, s.labels, strict=True)}
    assert counts == [whole, whole, {}]
    assert orders[0] != orders[4], "the order is new in each epoch"


def test_a_last_batch_of_one_image_is_left_out_and_max_batches_stops_early() -> None:
    sizes: list[int] = []

    def outer(model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        sizes.append(len(x))
        return AT.outer(model, x, x_adv, y)

    method = replace(methods.natural(), outer=outer)
    fit(net(), images(33), method, replace(QUICK, epochs=1), progress=False)
    assert sizes == [16, 16]
    sizes.clear()
    fit(net(), images(50), method, replace(QUICK, epochs=2), progress=False, max_batches=3)
    assert sizes == [16, 16, 16] * 2


@pytest.mark.parametrize("method", [methods.natural(), AT, part()], ids=lambda m: m.name)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_network_learns_what_can_be_learnt(method: Method, precision: Any) -> None:
    model = net()
    config = replace(QUICK, epochs=8, lr=2e-2, precision=precision)
    history = fit(model, images(160), method, config, progress=False)
    assert history[0]["accuracy"] < 95
    assert history[-1]["accuracy"] > 97
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert [row["epoch"] for row in history] == list(range(1, 9))
    assert all(row["seconds"] > 0 for row in history)
    assert not model.training
    assert evaluation.evaluate(model, images(160), ["natural"])["natural"] > 97


def test_history_counts_right_predictions_and_mean_loss() -> None:
    answers = iter([(0.5, 4), (1.5, 12)])

    def outer(model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        loss, right = next(answers)
        wrong = torch.arange(len(y)) >= right
        logits = nn.functional.one_hot((y + wrong) % 2, 2).float()
        return model(x).sum() * 0 + loss, logits

    method = replace(methods.natural(), outer=outer)
    (row,) = fit(net(), images(24), method, replace(QUICK, epochs=1), progress=False)
    assert row["accuracy"] == pytest.approx(100 * 12 / 24)  # 4 of 16, 8 of 8
    assert row["loss"] == pytest.approx((0.5 * 16 + 1.5 * 8) / 24)


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


def test_clip_limits_the_gradient() -> None:
    def change(clip: float) -> float:
        model = net()
        before = [p.detach().clone() for p in model.parameters()]
        config = replace(QUICK, epochs=1, optimizer="sgd", weight_decay=0, clip=clip, lr=1.0)
        fit(model, images(16), methods.natural(), config, progress=False)
        pairs = zip(model.parameters(), before, strict=True)
        return math.sqrt(sum((p - old).square().sum().item() for p, old in pairs))

    assert change(0.01) == pytest.approx(0.01, rel=1e-3)
    assert change(0) > 0.02


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("lr", 0.0),
        ("ramp", 1.5),
        ("clip", -1.0),
        ("pad", -1),
        ("seed", -1),
        ("patience", -1),
        ("weight_decay", -0.1),
        ("optimizer", "adam"),
        ("schedule", "cosine"),
        ("precision", "fp16"),
    ],
)
def test_a_bad_setting_is_named_with_its_value(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: .* found {value!r}$"):
        TrainConfig(**{name: value})
