"""Training: rate, budget and map where and when they should be, and it learns."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trained import AT, CASES, QUICK, images, net, part, trained

from partlib import attacks, checkpoints, evaluation, methods
from partlib.attacks.checks import NotFiniteError
from partlib.budgets import from_mask
from partlib.methods import Method
from partlib.training import TrainConfig, fit, learning_rate


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


def test_a_network_that_breaks_on_the_way_of_an_attack_is_stopped_with_advice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> Tensor:
        raise NotFiniteError("model: logits and gradients without NaN are needed, found NaN")

    monkeypatch.setattr(attacks, "pgd", broken)
    with pytest.raises(FloatingPointError, match=r"the loss is nan .* lower lr"):
        fit(net(), images(), AT, replace(QUICK, ramp=0.0), progress=False)


def test_bad_input_is_not_taken_for_a_loss_that_diverged() -> None:
    method = replace(AT, step_size=-1.0)
    with pytest.raises(ValueError, match="step_size"):
        trained(method, replace(QUICK, ramp=0))


@pytest.mark.parametrize("method", [methods.natural(), AT], ids=lambda m: m.name)
def test_labels_that_have_no_logit_are_refused_before_training(method: Method) -> None:
    s, model = images(), net()
    before = checkpoints.weights_sha256(model)
    more = replace(s, labels=5 * s.labels, class_names=tuple("abcdef"))
    with pytest.raises(ValueError, match=r"^train_set: labels in \[0, 2\) are .* found 0 to 5$"):
        fit(model, more, method, QUICK, progress=False)
    with pytest.raises(ValueError, match=r"^val_set: labels in \[0, 2\) are .* found 0 to 5$"):
        fit(model, s, method, QUICK, val_set=more, progress=False)
    assert checkpoints.weights_sha256(model) == before


def test_a_network_that_is_all_frozen_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model: weights that require gradients .* all frozen"):
        fit(net().requires_grad_(False), images(), AT, QUICK, progress=False)


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
    for count in (0, -1):
        with pytest.raises(ValueError, match=f"max_batches: .*found {count}"):
            fit(net(), images(50), method, QUICK, progress=False, max_batches=count)
    with pytest.raises(ValueError, match="train_set: at least one image is needed, found none"):
        fit(net(), images(50)[:0], method, QUICK, progress=False)
    with pytest.raises(ValueError, match="model: weights are needed, found none in Flat"):
        fit(nn.Flatten(), images(50), method, QUICK, progress=False)
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
        ("epochs", True),
        ("seed", 10**14),
        ("milestones", 5),
        ("milestones", ("1",)),
        ("milestones", (60, 90)),  # of another schedule than "steps"
        ("flip", "no"),
        ("compile", 1),
        ("lr", "1e-3"),
        ("lr", math.nan),
        ("ramp", None),
        ("clip", None),
        ("weight_decay", True),
    ],
)
def test_a_bad_setting_is_named_with_its_value(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: .* found {re.escape(repr(value))}$"):
        TrainConfig(**{name: value})
