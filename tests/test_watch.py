"""What is looked at after each epoch: validation, the best epoch, a run that is lost."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trained import AT, QUICK, Killed, images, killed_after, net, part

from partlib import attacks, checkpoints, evaluation, methods
from partlib.methods import Method
from partlib.training import TrainConfig, best_epoch, fit, watch

VAL = replace(images(60)[50:], split="val")


def epochs_of(**settings: Any) -> tuple[str, list[dict[str, float]], list[str]]:
    """The weights of a run, its history, and the weights after each epoch."""
    model = net(settings.pop("seed", 0))
    after: list[str] = []
    history = fit(
        model,
        images(),
        settings.pop("method", AT),
        settings.pop("config", QUICK),
        progress=False,
        on_epoch=lambda model, _: after.append(checkpoints.weights_sha256(model)),
        **settings,
    )
    return checkpoints.weights_sha256(model), history, after


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Validation accuracies to be found, epoch by epoch."""
    listed: list[float] = []

    def validate(*_: object) -> dict[str, float]:
        return {"val_natural": 90.0, "val_robust": listed.pop(0)}

    monkeypatch.setattr(watch, "validate", validate)
    yield listed
    assert not listed, "an epoch that was to come did not"


def test_the_best_epoch_is_kept_and_nothing_else_changes(scores: list[float]) -> None:
    last, plain, every = epochs_of()
    assert last == every[-1]
    scores[:] = [10.0, 30.0, 30.0, 20.0]
    kept, history, same = epochs_of(val_set=VAL)
    assert same == every, "to look is not to change"
    assert kept == every[1], "the first of the best"
    assert best_epoch(history) == 2
    assert [row["val_robust"] for row in history] == [10, 30, 30, 20]
    assert [row["loss"] for row in history] == [row["loss"] for row in plain]
    assert "val_natural" not in plain[0]


@pytest.mark.parametrize(
    ("patience", "found", "epochs"),
    [(1, [10, 20, 15], 3), (2, [20, 10, 20], 3), (2, [10, 9, 11, 10], 4), (0, [4, 3, 2, 1], 4)],
)
def test_patience_ends_a_run_early(
    patience: int, found: list[float], epochs: int, scores: list[float]
) -> None:
    scores[:] = found
    config = replace(QUICK, patience=patience)
    kept, history, every = epochs_of(val_set=VAL, config=config)
    assert len(history) == epochs
    assert kept == every[found.index(max(found))]
    assert "patience" not in QUICK.record(), "runs without it are written down as before"
    assert config.record().get("patience", 0) == patience


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_killed_run_goes_on_with_what_was_best(
    epoch: int, scores: list[float], tmp_path: Path
) -> None:
    found = [10.0, 30.0, 20.0, 25.0]
    settings: dict[str, Any] = {"val_set": VAL, "config": replace(QUICK, patience=2, epochs=6)}
    scores[:] = found
    whole, history, _ = epochs_of(**settings)
    scores[:] = found
    path = tmp_path / "c"
    with pytest.raises(Killed):
        fit(
            net(), images(), AT, settings["config"], val_set=VAL, checkpoint=path,
            progress=False, on_epoch=killed_after(epoch),
        )  # fmt: skip
    resumed, again, _ = epochs_of(checkpoint=path, seed=99, **settings)
    assert resumed == whole
    assert [{**row, "seconds": 0} for row in again] == [{**row, "seconds": 0} for row in history]
    assert epochs_of(checkpoint=path, seed=7, **settings) == (whole, again, []), "it has finished"
    with pytest.raises(ValueError, match="of another run"):
        epochs_of(checkpoint=path, **{**settings, "val_set": VAL[:5]})


@pytest.mark.parametrize("method", [methods.natural(), AT, part()], ids=lambda m: m.name)
def test_validation_is_exact_and_leaves_the_model(method: Method) -> None:
    model = net()
    fit(model, images(), method, QUICK, progress=False)
    model.train()
    weights = checkpoints.weights_sha256(model)
    found: set[torch.dtype] = set()
    handle = model.head.register_forward_hook(lambda *a: found.add(a[-1].dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        row = watch.validate(model, VAL, method.eps)
    handle.remove()
    assert found == {torch.float32}
    assert model.training
    assert checkpoints.weights_sha256(model) == weights
    x, y = VAL.images, VAL.labels
    assert row["val_natural"] == evaluation.accuracy(model, x, y)
    if method.eps == 0:
        assert list(row) == ["val_natural"]
        return
    settings: dict[str, Any] = {"step_size": method.eps / 4, "steps": 10, "random_start": False}
    x_adv = attacks.pgd(model, x, y, method.eps, **settings)
    assert row["val_robust"] == evaluation.accuracy(model, x_adv, y)


def test_validation_is_of_the_whole_set(monkeypatch: pytest.MonkeyPatch) -> None:
    model = net()
    fit(model, images(160), AT, replace(QUICK, lr=2e-2, epochs=8), progress=False)
    whole = watch.validate(model, images(), 20 / 255)
    assert 0 < whole["val_robust"] < whole["val_natural"], "the test below can tell"
    monkeypatch.setattr(watch, "BATCH", 7)
    assert watch.validate(model, images(), 20 / 255) == whole


def test_a_network_of_nan_has_no_accuracy() -> None:
    model = net()
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    for eps in (0, 8 / 255):
        with pytest.raises(FloatingPointError, match=r"the network gives NaN .* lower lr"):
            watch.validate(model, VAL, eps)


def test_what_cannot_be_chosen_is_said() -> None:
    with pytest.raises(ValueError, match=r"^patience: a val_set is needed .* found none and 3$"):
        fit(net(), images(), AT, replace(QUICK, patience=3), progress=False)
    with pytest.raises(ValueError, match=r"^val_set: at least one image .* found none$"):
        fit(net(), images(), AT, QUICK, val_set=VAL[:0], progress=False)
    for history in ([], [{"loss": 1.0}]):
        with pytest.raises(ValueError, match=r"^history: .* found none$"):
            best_epoch(history)


def rows(*epochs: tuple[float, float]) -> list[dict[str, float]]:
    return [{"loss": 2.3, "accuracy": a, "one_class": b} for a, b in epochs]


TEN = torch.arange(10_000) % 10
START, LEARNT, LOST = (10.0, 100.0), (30.0, 20.0), (10.1, 99.5)
HEALTHY: dict[str, tuple[list[tuple[float, float]], int, int]] = {
    "a hard start": ([START] * 4, 8, 10_000),
    "a hard start of a long run": ([START] * 14 + [LEARNT], 30, 10_000),
    "a growing budget": ([LEARNT] * 3 + [LOST] * 2 + [LEARNT], 8, 10_000),
    "a low accuracy, but of many classes": ([LEARNT] * 2 + [(5.0, 40.0)] * 20, 30, 10_000),
    "a few images": ([START] * 20, 20, 999),
}


@pytest.mark.parametrize("case", HEALTHY)
def test_a_healthy_run_goes_on(case: str) -> None:
    epochs, total, seen = HEALTHY[case]
    for n in range(1, len(epochs) + 1):
        watch.check(rows(*epochs[:n]), TEN, seen, TrainConfig(epochs=total))


@pytest.mark.parametrize(
    ("epochs", "total", "stuck"),
    [
        ([LEARNT, LOST, LOST, LOST], 8, 3),
        ([START, LEARNT, *[LOST] * 8], 80, 8),
        ([START] * 5, 8, 5),
        ([START] * 15, 30, 15),
        ([(11.0, 40.0), *[START] * 5], 8, 5),  # no better than by chance
    ],
)
def test_a_lost_run_ends_with_advice(
    epochs: list[tuple[float, float]], total: int, stuck: int
) -> None:
    config = TrainConfig(epochs=total, lr=0.7)
    watch.check(rows(*epochs[:-1]), TEN, 10_000, config)
    message = rf"one class for {stuck} epochs \(accuracy 10\.\d %, by chance 10\.0 %\).*lr.*0\.7"
    with pytest.raises(FloatingPointError, match=message):
        watch.check(rows(*epochs), TEN, 10_000, config)


def test_a_set_that_is_nearly_one_class_is_not_judged() -> None:
    labels = (torch.arange(10_000) % 20 == 0).long()
    watch.check(rows(*[(95.0, 100.0)] * 20), labels, 10_000, TrainConfig(epochs=20))


def test_a_network_that_collapses_is_stopped(tmp_path: Path) -> None:
    seen = 0

    def outer(model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal seen
        seen += 1
        loss, logits = AT.outer(model, x, x_adv, y if seen <= 40 else torch.zeros_like(y))
        return loss, logits

    path = tmp_path / "c"
    config = replace(QUICK, epochs=20, batch_size=50, lr=2e-2, schedule="steps")
    method = replace(methods.natural(), outer=outer)
    with pytest.raises(FloatingPointError, match="one class for 3 epochs"):
        fit(net(), images(1000), method, config, checkpoint=path, progress=False)
    history = checkpoints.read_meta(path)["history"]
    assert history[1]["accuracy"] > 90, "it knew better"
    assert history[1]["one_class"] < 75
    assert [row["one_class"] for row in history[-2:]] == pytest.approx([100, 100], abs=1)
    assert len(history) < 8
