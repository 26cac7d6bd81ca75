"""On a real GPU: what the processor gives, bits that repeat, graphs that change none."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from trained import Killed, killed_after

from partlib import cam, checkpoints, data, evaluation, models, zoo
from partlib.attacks import mma, pgd
from partlib.data import ImageSet
from partlib.methods import Method, control
from partlib.models import Classifier
from partlib.preserve import full_precision, untouched
from partlib.recipes import recipe
from partlib.training import TrainConfig, fit
from partlib.training.graphed import Graphed

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]

GPU = torch.device("cuda")
SMALL = recipe("scene-digits/small")
CONFIG = replace(SMALL.config, epochs=3, batch_size=64, graphs=True)
METHODS: dict[str, Method] = {
    **{name: SMALL.method(name) for name in ("natural", "at", "trades", "mart")},
    "part": SMALL.method("part"),
    "part-trades": SMALL.method("part", base="trades"),
    "part-s2": SMALL.method("part", refresh=2, warmup=1),
    "part-random": control(SMALL.method("part"), "random"),
}


def digits(n: int = 200) -> ImageSet:
    return data.load("scene-digits", "train", n=n)


def network() -> Classifier:
    return models.build("small", 10, seed=0)


def trained(
    method: Method, config: TrainConfig, checkpoint: Path | None = None
) -> tuple[str, list[float]]:
    """The weights' sha256, and the losses epoch by epoch."""
    model = network().to(GPU)
    history = fit(model, digits(), method, config, checkpoint=checkpoint, progress=False)
    return checkpoints.weights_sha256(model), [row["loss"] for row in history]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", METHODS)
def test_graphs_change_a_training_by_rounding_alone_and_repeat(name: str, precision: str) -> None:
    config = replace(CONFIG, precision=precision)
    one, again = (trained(METHODS[name], config) for _ in range(2))
    assert one == again
    plain = trained(METHODS[name], replace(config, graphs=False))
    assert one[1] == pytest.approx(plain[1], rel=0.03)


def test_a_run_that_was_killed_ends_in_the_same_weights(tmp_path: Path) -> None:
    saved, model = tmp_path / "checkpoint", network().to(GPU)
    with pytest.raises(Killed):
        fit(model, digits(), METHODS["part-s2"], CONFIG, checkpoint=saved, progress=False,
            on_epoch=killed_after(2))  # fmt: skip
    found = trained(METHODS["part-s2"], CONFIG, saved)
    assert found[0] == trained(METHODS["part-s2"], CONFIG)[0]


def test_a_graph_is_the_network_whatever_was_learnt_since() -> None:
    model = network().to(GPU).to(memory_format=torch.channels_last)
    fast = Graphed(model)
    x = digits(8).images.to(GPU).contiguous(memory_format=torch.channels_last).requires_grad_(True)
    for _ in range(4):
        with torch.no_grad(), full_precision(GPU):
            model.train()(x + 0.01)  # other statistics,
            for parameter in model.parameters():
                parameter.mul_(1.05)  # and other weights
        with untouched(fast), full_precision(GPU):
            found = [
                (logits.detach().clone(), torch.autograd.grad(logits.logsumexp(1).sum(), x)[0])
                for logits in (fast(x), model(x))
            ]
            assert torch.equal(found[0][0], found[1][0])
            torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-6)
            assert torch.equal(fast(x[:3]), model(x[:3])), "a shape that was not recorded"
    assert fast._replay is not None


def test_the_processor_and_the_gpu_agree() -> None:
    model, there = zoo.load("at"), zoo.load("at").to(GPU)
    some = data.load("scene-digits", "test", n=64)
    x, y = some.images, some.labels
    xs, ys = x.to(GPU), y.to(GPU)
    with full_precision(GPU):
        torch.testing.assert_close(there(xs).cpu(), model(x), rtol=1e-4, atol=1e-4)
        for view in cam.CAMS.values():
            torch.testing.assert_close(view(there, xs).cpu(), view(model, x), rtol=0, atol=1e-3)
        for random_start, steps in ((False, 1), (False, 10), (True, 10)):
            settings = {"step_size": 2 / 255, "steps": steps, "random_start": random_start}
            ours = pgd(there, xs, ys, 8 / 255, **settings)
            assert float((ours - xs).abs().max()) <= 8 / 255 + 1e-7
            if not random_start:  # the two draw other noise
                apart = (ours.cpu() - pgd(model, x, y, 8 / 255, **settings)).abs() > 1e-6
                assert float(apart.float().mean()) < 0.01 * steps
        stronger = mma(there, xs, ys, 8 / 255, step_size=2 / 255)
        assert float((stronger - xs).abs().max()) <= 8 / 255 + 1e-7
    names = ("natural", "fgsm", "pgd10", "mma")
    here, on_gpu = (evaluation.evaluate(net, some, names) for net in (model, there))
    assert here == pytest.approx(on_gpu, abs=100 * 2 / 64 + 1e-9), "two of 64 images at most"


def test_a_map_is_a_budget_there_too() -> None:
    model, some = network().to(GPU), digits(16)
    x, y = some.images.to(GPU), some.labels.to(GPU)
    eps = METHODS["part"].budget(model, x, y, epoch=0)
    x_adv = METHODS["part"].attack(model, x, y, eps)
    assert ((x_adv - x).abs() <= torch.as_tensor(eps, device=GPU) + 1e-7).all()
    assert 0 <= float(x_adv.min()) <= float(x_adv.max()) <= 1
