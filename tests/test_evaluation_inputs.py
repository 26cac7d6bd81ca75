"""Evaluation: what is bad is refused, by the name of the argument and the value."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from greys import Brightness, greys
from torch import Tensor, nn

from partlib import cam, evaluation
from partlib.evaluation import evaluate


@pytest.mark.parametrize("name", ["pgd20@0", "aa@129", "aa@", "mma@1e2", "mma@-5", "mma@ 5"])
def test_images_that_are_not_there_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"attacks: 1 to 128 images .* found '{name}'"):
        evaluate(Brightness(), greys(), [name])


@pytest.mark.parametrize("eps", [0, 8 / 255])
@pytest.mark.parametrize("name", ["pgd0", "pgd", "pgd-3", "pgd20 ", "PGD20", "auto", "mma3", ""])
def test_an_unknown_attack_is_refused_by_name(name: str, eps: float) -> None:
    with pytest.raises(ValueError, match=rf"attacks: .*found '{name}'"):
        evaluate(Brightness(), greys(), ["natural", name], eps=eps)


def test_bad_sets_are_refused() -> None:
    with pytest.raises(ValueError, match="test_set: at least one image"):
        evaluate(Brightness(), greys()[:0])


@pytest.mark.parametrize("attack", ["natural", "fgsm", "pgd2"])
@pytest.mark.parametrize(
    ("eps", "found"),
    [
        (-1 / 255, r"values in \[0, 1\] are needed, found -0.0039"),
        (8, r"values in \[0, 1\] are needed, found 8"),
        (float("nan"), r"values in \[0, 1\] are needed, found nan"),
        (True, "a number is needed, found True"),
        ("8/255", "a number is needed, found '8/255'"),
        (torch.full((6, 6), 8 / 255), r"a number is needed, found Tensor of shape \(6, 6\)"),
        (torch.tensor(8 / 255), r"a number is needed, found Tensor of shape \(\)"),
    ],
)
def test_bad_budgets_are_refused(attack: str, eps: Any, found: str) -> None:
    with pytest.raises(ValueError, match=f"^eps: {found}"):
        evaluate(Brightness(), greys(), [attack], eps=eps)


class Giving(nn.Module):
    """Gives whatever a function makes of the right logits."""

    def __init__(self, change: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.inner, self.change = Brightness(), change

    def forward(self, x: Tensor) -> Any:
        return self.change(self.inner(x))


OUTPUTS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "a map": (lambda v: v[:, :, None, None], r"logits of shape \(8, K\) .* found \(8, 2, 1, 1\)"),
    "no batch": (lambda v: v[0], r"logits of shape \(8, K\) .* found \(2,\)"),
    "a tuple": (lambda v: (v, v), r"logits of shape \(8, K\) .* found tuple"),
    "one class": (lambda v: v[:, :1], "logits for at least 2 classes .* found 1"),
    "NaN": (lambda v: v * torch.nan, "finite logits are needed, found NaN"),
    "a NaN": (lambda v: v.index_fill(0, torch.tensor([7]), torch.nan), "finite logits are needed"),
    "probabilities": (lambda v: v.softmax(dim=1), "logits are needed, found probabilities"),
}


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("call", ["natural", "corruption", "predict", "accuracy"])
def test_outputs_that_are_not_logits_are_refused(call: str, output: str) -> None:
    change, message = OUTPUTS[output]
    model, s = Giving(change), greys()[:8]
    large = replace(s, pixels=s.pixels.repeat(1, 1, 3, 3))
    run: dict[str, Callable[[], Any]] = {
        "natural": lambda: evaluate(model, s, ["natural"]),
        "corruption": lambda: evaluate(model, large, [], corruptions=["contrast"]),
        "predict": lambda: evaluation.predict(model, s.images),
        "accuracy": lambda: evaluation.accuracy(model, s.images, s.labels),
    }
    with pytest.raises(ValueError, match=f"^model: {message}"):
        run[call]()


@pytest.mark.parametrize("call", ["natural", "corruption"])
def test_classes_that_the_model_does_not_know_are_refused(call: str) -> None:
    s = greys()
    s = replace(s, pixels=s.pixels.repeat(1, 1, 3, 3), class_names=("dark", "bright", "grey"))
    s.labels[100] = 2
    with pytest.raises(ValueError, match=r"^y: labels in \[0, 2\) are needed, found 0 to 2"):
        evaluate(
            Brightness(), s, ["natural"] * (call == "natural"), batch_size=50,
            corruptions=["contrast"] * (call == "corruption"),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (lambda y: y[:, None], r"one label an image, shape \(8,\), is needed, found \(8, 1\)"),
        (lambda y: y[:1], r"one label an image, .* found \(1,\)"),
        (lambda y: y.float(), "a tensor of whole numbers is needed, found torch.float32"),
        (lambda y: y + 2, r"labels in \[0, 2\) are needed, found 2 to 3"),
        (lambda y: y - 1, r"labels in \[0, 2\) are needed, found -1 to 0"),
    ],
)
def test_bad_labels_are_refused(labels: Callable[[Tensor], Tensor], message: str) -> None:
    s = greys()[60:68]
    with pytest.raises(ValueError, match=f"^y: {message}"):
        evaluation.accuracy(Brightness(), s.images, labels(s.labels))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.where(x > 0.26, torch.nan), "values in .* found nan"),
        (lambda x: x.where(x > 0.26, torch.inf), "values in .* found .* to inf"),
        (lambda x: (255 * x).byte(), "a float tensor .* found torch.uint8"),
        (lambda x: x.half(), "float32 or float64 is needed, found torch.float16"),
        (lambda x: x[0], r"the shape \(N, C, H, W\) is needed, found \(3, 6, 6\)"),
        (lambda x: x[:0], "at least one image is needed"),
        (lambda x: x.numpy(), "a float tensor .* found ndarray"),
    ],
)
def test_bad_images_are_refused(change: Callable[[Tensor], Any], message: str) -> None:
    x, y = change(greys()[:8].images), greys()[:8].labels
    for call in (
        lambda: evaluation.predict(Brightness(), x),
        lambda: evaluation.accuracy(Brightness(), x, y),
    ):
        with pytest.raises(ValueError, match=f"^x: {message}"):
            call()


def test_a_function_is_no_model() -> None:
    function: Any = Brightness().forward
    x, y = greys()[:8].images, greys()[:8].labels
    for call in (
        lambda: evaluate(function, greys()),
        lambda: evaluation.predict(function, x),
        lambda: evaluation.accuracy(function, x, y),
        lambda: cam.grad_cam(function, x),
    ):
        with pytest.raises(ValueError, match=r"^model: a torch.nn.Module is needed, found method"):
            call()


def test_an_unknown_corruption_is_refused_before_work() -> None:
    model = Brightness()
    model.register_forward_pre_hook(lambda *_: pytest.fail("it has begun"))
    for names in (["fog", "rain"], "fog"):
        with pytest.raises(ValueError, match=r"^corruptions: .*found '(rain|f)'"):
            evaluate(model, greys(), corruptions=names)
