"""No tensor is left behind when there is a GPU: library and chapters on a pretended one."""

import copy
import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import torch
from pretended_gpu import GPU, Generator, pretended_gpu

from experiments import grids, plans, speed
from partlib import (
    attacks,
    cam,
    checkpoints,
    corruptions,
    data,
    evaluation,
    methods,
    models,
    runs,
    scale,
)
from partlib.data import ImageSet
from partlib.diagnose import diagnose
from partlib.methods import Method, control
from partlib.models import Classifier
from partlib.recipes import recipe
from partlib.training import fit, loop
from tools import notebooks

SMALL = recipe("scene-digits/small")
BASES = ("at", "trades", "mart")
METHODS: dict[str, Method] = {
    **{name: SMALL.method(name) for name in ("natural", *BASES)},
    **{f"part-{base}": SMALL.method("part", base=base) for base in BASES},
    "part-s10": SMALL.method("part", refresh=10, warmup=1),
    **{
        what: control(SMALL.method("part"), what)
        for what in ("shuffled", "random", "inverted", "oracle")
    },
    "quadrants": methods.quadrants(
        SMALL.method("at"), ul=2 / 255, ur=8 / 255, bl=8 / 255, br=8 / 255
    ),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The operations are tiny: several threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def gpu() -> Iterator[torch.device]:
    with pretended_gpu():
        yield GPU


def network() -> Classifier:
    return models.small(10).to(GPU)


def digits(n: int = 16) -> ImageSet:
    return data.load("scene-digits", "test", n=n)


# First that the pretence is one.


def test_what_is_made_of_a_tensor_is_where_it_is(gpu: torch.device) -> None:
    x = torch.rand(4, 3, device=gpu, requires_grad=True)
    (gradient,) = torch.autograd.grad((x**2).sum(), x)
    for tensor in (x, x + 1, x[0], x.sum(), *x, x.detach().to(torch.float64), gradient):
        assert (tensor.device, tensor.is_cuda) == (gpu, True)
    for tensor in (torch.rand(2).to(x), torch.rand(2).cuda(), torch.rand(2).to(gpu)):
        assert tensor.is_cuda
    for tensor in (x.cpu(), x.to("cpu"), torch.rand(2)):
        assert not tensor.is_cuda
    x.detach().cpu().numpy()


def test_tensors_that_a_gpu_would_not_let_meet_do_not(gpu: torch.device) -> None:
    x, other = torch.rand(4, 3, device=gpu), torch.rand(4, 3)
    assert (x * torch.tensor(2.0)).is_cuda, "a single number may come from anywhere"
    assert x[torch.tensor([0])].is_cuda, "and so may an index into a tensor on the GPU"
    for meeting in (
        lambda: x + other,
        lambda: torch.cat([x, other]),
        lambda: other[x.argmax(dim=1)],
        lambda: network()(other[None, None].expand(1, 3, 4, 3)),
        lambda: torch.rand(2, device=gpu, generator=torch.Generator()),
        lambda: torch.rand(2, generator=Generator(gpu)),
    ):
        with pytest.raises(RuntimeError, match=r"expected|indices"):
            meeting()
    with pytest.raises(TypeError, match="numpy"):
        x.numpy()


def test_a_network_moves_and_is_copied_whole(gpu: torch.device) -> None:
    model = network()
    for tensor in (*model.parameters(), *model.buffers(), *copy.deepcopy(model).parameters()):
        assert tensor.is_cuda
    assert not any(tensor.is_cuda for tensor in model.cpu().parameters())


# Then the library.


@pytest.mark.parametrize("name", METHODS)
def test_training(gpu: torch.device, tmp_path: Path, name: str) -> None:
    config = SMALL.with_config(epochs=2, batch_size=8).config
    model, saved = network(), tmp_path / "checkpoint"
    fit(model, digits(), METHODS[name], config, val_set=digits(), checkpoint=saved, progress=False)
    again = network()
    fit(again, digits(), METHODS[name], config, val_set=digits(), checkpoint=saved, progress=False)
    assert checkpoints.weights_sha256(model) == checkpoints.weights_sha256(again)
    assert all(tensor.is_cuda for tensor in model.parameters())


def test_evaluation(gpu: torch.device) -> None:
    names = ("natural", "fgsm", "pgd2", "mma", "pgd2@8")
    found = evaluation.evaluate(
        network(), digits(), names, corruptions=corruptions.NAMES[::6], cams=tuple(cam.CAMS)
    )
    assert set(names) < found.keys()


def test_autoattack(gpu: torch.device) -> None:
    pytest.importorskip("pyautoattack")
    assert "aa" in evaluation.evaluate(network(), digits(2), ("aa",))


def test_signs_of_masked_gradients(gpu: torch.device) -> None:
    model, x = network(), digits().to(gpu).images
    assert diagnose(model, x, evaluation.predict(model, x).argmax(dim=1), steps=4).findings


def test_maps_of_each_network(gpu: torch.device) -> None:
    x = digits(2).to(gpu).images
    for build in (models.small, models.resnet18, functools.partial(models.wide_resnet, depth=10)):
        model = build(10).to(gpu)
        for method in cam.CAMS.values():
            heat = method(model, x)
            assert heat.is_cuda
            for rule in ("paper", "published"):
                assert cam.important(heat, rule).is_cuda


def test_a_mask_and_a_start_may_come_from_the_processor(gpu: torch.device) -> None:
    images = digits(4)
    assert images.masks is not None
    model, x, y = network().eval(), images.images.to(gpu), images.labels.to(gpu)
    found = cam.alignment(cam.grad_cam(model, x), images.masks)
    assert all(value.is_cuda for value in found.values())
    start = torch.full(x.shape, 0.01)
    moved = attacks.pgd(model, x, y, 8 / 255, step_size=0.01, steps=0, random_start=start)
    assert torch.allclose(moved.cpu(), (images.images + start).clamp(0, 1))
    for call in (evaluation.accuracy, functools.partial(attacks.fgsm, eps=0.1)):
        with pytest.raises(ValueError, match=r"y: labels on cuda.*, as the images, are needed"):
            call(model, x, images.labels)


def test_a_class_to_map_may_come_from_the_processor(gpu: torch.device) -> None:
    x, target = digits(4).to(gpu).images, torch.arange(4)
    assert cam.grad_cam(network(), x, target, layer="features").is_cuda


def test_a_checkpoint_says_the_precision_of_the_networks_device(
    gpu: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "uses_bf16", lambda device, _: device.type == "cuda")
    config, saved = SMALL.with_config(epochs=1).config, tmp_path / "checkpoint"
    fit(network(), digits(), METHODS["natural"], config, checkpoint=saved, progress=False)
    assert checkpoints.read_meta(saved)["run"]["precision"] == "bf16"


def test_a_whole_run(gpu: torch.device, tmp_path: Path) -> None:
    result = runs.run(
        SMALL.with_config(epochs=1), METHODS["part-at"], folder=tmp_path, device=gpu,
        n_train=32, n_test=16, attacks=("natural", "pgd2"),
    )  # fmt: skip
    assert result["device"] == "a GPU that is not there"


def test_a_grid(gpu: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = data.load

    def few(name: str, split: str, **settings: Any) -> ImageSet:
        return whole(name, split, n=40)

    monkeypatch.setattr(data, "load", few)
    monkeypatch.setattr(plans, "ROOT", tmp_path)
    monkeypatch.setattr(speed, "peak_tflops", lambda device, rounds: 1.0)
    tiny = SMALL.with_config(epochs=2, batch_size=16)
    grid = grids.Grid(module="tiny", recipe=tiny, threads=None, cams=("grad_cam",))
    what = replace(
        grid.plan("part"), attacks=("natural", "pgd2@8"), corruptions=("fog",), diagnose=True
    )
    grid.measure("part", what, 0)
    assert grid.missing("part", what, 0) == []


# Then the chapters, on few images: what they find is not looked at.


@pytest.mark.slow
@pytest.mark.parametrize(
    "source", notebooks.chapters() + notebooks.appendices(), ids=lambda path: path.stem
)
def test_chapter(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib.use("agg")
    whole = scale.Scale.load

    def few(self: scale.Scale, split: str, *, n: int | None = None) -> ImageSet:
        return whole(self, split, n=n)[:24]

    monkeypatch.setattr(scale.Scale, "load", few)
    names: dict[str, object] = {"__name__": "__main__"}
    with pretended_gpu():
        for cell in notebooks.read_chapter(source).cells:
            if cell.cell_type == "code" and "remove-cell" not in cell.metadata.get("tags", ()):
                exec(compile(cell.source, source.name, "exec"), names)
        for tensor in (names.get("x"), names.get("y")):
            assert not isinstance(tensor, torch.Tensor) or tensor.is_cuda
