"""Attacks: what they cannot work with is refused by name, with its value."""

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attacked import Y, linear, random_images
from torch import Tensor, nn

from partlib import attacks
from partlib.attacks import fgsm, mma, pgd


def returns(value: Any) -> nn.Module:
    """A model whose outputs are `value`, with a gradient."""

    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return value + 0 * x.sum() if isinstance(value, Tensor) else value

    return Constant()


def spoiled(value: float) -> Tensor:
    x = random_images()
    x[1, 1, 2, 3] = value
    return x


GOOD: dict[str, Any] = {
    "model": linear(),
    "x": random_images(),
    "y": Y,
    "eps": 0.1,
    "step_size": 0.1,
    "steps": 2,
}
BAD: list[tuple[dict[str, Any], str]] = [
    ({"y": Y.to("meta")}, "y: labels on cpu, as the images, are needed, found meta"),
    ({"x": spoiled(1.5)}, "x: values in [0, 1] are needed, found 0.0 to 1.5"),
    ({"x": spoiled(-0.5)}, "x: values in [0, 1] are needed, found -0.5 to 1.0"),
    ({"x": spoiled(float("nan"))}, "x: values in [0, 1] are needed, found nan"),
    ({"x": spoiled(float("inf"))}, "x: values in [0, 1] are needed, found 0.0 to inf"),
    (
        {"x": (255 * random_images()).byte()},
        "x: a float tensor in [0, 1] is needed, found torch.uint8",
    ),
    ({"x": random_images().long()}, "x: a float tensor in [0, 1] is needed, found torch.int64"),
    (
        {"x": random_images().float()},
        "x: torch.float64 on cpu, as the model's weights, is needed, found torch.float32 on cpu",
    ),
    ({"x": random_images().half()}, "x: float32 or float64 is needed, found torch.float16"),
    ({"x": random_images().bfloat16()}, "x: float32 or float64 is needed, found torch.bfloat16"),
    ({"x": random_images().numpy()}, "x: a float tensor in [0, 1] is needed, found ndarray"),
    ({"x": random_images()[0]}, "x: the shape (N, C, H, W) is needed, found (2, 4, 5)"),
    ({"x": random_images()[None]}, "x: the shape (N, C, H, W) is needed, found (1, 4, 2, 4, 5)"),
    ({"x": random_images()[:0]}, "x: at least one image is needed, found the shape (0, 2, 4, 5)"),
    ({"y": Y + 1}, "y: labels in [0, 3) are needed, found 1 to 3"),
    ({"y": Y - 1}, "y: labels in [0, 3) are needed, found -1 to 1"),
    ({"y": Y[:3]}, "y: one label an image, shape (4,), is needed, found (3,)"),
    ({"y": Y[:, None]}, "y: one label an image, shape (4,), is needed, found (4, 1)"),
    ({"y": F.one_hot(Y)}, "y: one label an image, shape (4,), is needed, found (4, 3)"),
    ({"y": Y.double()}, "y: a tensor of whole numbers is needed, found torch.float64"),
    ({"y": Y.bool()}, "y: a tensor of whole numbers is needed, found torch.bool"),
    ({"y": Y.tolist()}, "y: a tensor of whole numbers is needed, found list"),
    ({"eps": -0.1}, "eps: values in [0, 1] are needed, found -0.1"),
    ({"eps": torch.full((4, 5), -0.5)}, "eps: values in [0, 1] are needed, found -0.5"),
    ({"eps": float("nan")}, "eps: values in [0, 1] are needed, found nan"),
    (
        {"eps": 8},
        "eps: values in [0, 1] are needed, found 8.0 to 8.0; images are in [0, 1], so write 8",
    ),
    (
        {"eps": torch.zeros(5, 4)},
        "eps: a shape that broadcasts to the images' (4, 2, 4, 5) is needed, found (5, 4)",
    ),
    (
        {"eps": torch.zeros(4, 4, 5)},
        "eps: a shape that broadcasts to the images' (4, 2, 4, 5) is needed, found (4, 4, 5)",
    ),
    (
        {"model": nn.Sequential(linear(), nn.Softmax(1))},
        "model: logits are needed, found probabilities",
    ),
    (
        {"model": returns(torch.full((4, 3), torch.nan))},
        "model: finite logits are needed, found NaN",
    ),
    (
        {"model": returns(torch.full((4, 3), torch.inf))},
        "model: finite logits are needed, found NaN or inf",
    ),
    ({"model": linear().forward}, "model: a torch.nn.Module is needed, found method"),
    ({"model": returns(None)}, "model: logits of shape (4, K) are needed, found NoneType"),
    ({"model": linear(classes=1)}, "model: logits for at least 2 classes are needed, found 1"),
    ({"model": returns(torch.zeros(4))}, "model: logits of shape (4, K) are needed, found (4,)"),
    (
        {"model": returns(torch.zeros(3, 3))},
        "model: logits of shape (4, K) are needed, found (3, 3)",
    ),
    ({"model": returns((1, 2))}, "model: logits of shape (4, K) are needed, found tuple"),
]
BAD_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"step_size": 0}, "step_size: a value above 0 is needed, found 0"),
    ({"step_size": -0.1}, "step_size: a value above 0 is needed, found -0.1"),
    ({"step_size": float("nan")}, "step_size: a value above 0 is needed, found nan"),
    ({"step_size": float("inf")}, "step_size: a value above 0 is needed, found inf"),
    ({"step_size": "1"}, "step_size: a value above 0 is needed, found '1'"),
    ({"generator": 1}, "generator: a torch.Generator on cpu is needed, found int"),
    ({"steps": -1}, "steps: a whole number, 0 or more, is needed, found -1"),
    ({"steps": 2.5}, "steps: a whole number, 0 or more, is needed, found 2.5"),
    ({"restarts": 0}, "restarts: a whole number, 1 or more, is needed, found 0"),
    ({"restarts": 1.0}, "restarts: a whole number, 1 or more, is needed, found 1.0"),
    ({"random_start": "gauss"}, '"uniform" or "normal" is needed, found \'gauss\''),
    (
        {"loss": "kl", "random_start": False},
        'random_start: a start away from x is needed for the loss "kl", whose gradient is zero at '
        "x, found False",
    ),
    (
        {"loss": "kl", "random_start": torch.zeros_like(random_images())},
        'random_start: a start away from x is needed for the loss "kl", whose gradient is zero at '
        "x, found zeros",
    ),
    ({"loss": "mse"}, 'loss: "ce", "kl", "margin" or a callable is needed, found \'mse\''),
    ({"loss": F.cross_entropy}, "loss: one number an image, (4,), is needed, found ()"),
    (
        {"loss": F.cross_entropy, "restarts": 2, "steps": 0},
        "loss: one number an image, (4,), is needed, found ()",
    ),
    ({"loss": lambda logits, y: 1.0}, "loss: one number an image, (4,), is needed, found float"),
    ({"update": "scale"}, 'update: "clamp" or "multiply" is needed, found \'scale\''),
]


@pytest.mark.parametrize(("change", "message"), BAD + BAD_SETTINGS)
def test_bad_input_to_pgd_is_named_with_its_value(change: dict[str, Any], message: str) -> None:
    arguments = {**GOOD, **change}
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        pgd(**arguments)
    assert str(error.value).split(":")[0] in change


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_to_fgsm_is_named_with_its_value(change: dict[str, Any], message: str) -> None:
    arguments = {**GOOD, **change}
    with pytest.raises(ValueError, match=re.escape(message)):
        fgsm(*(arguments[name] for name in ("model", "x", "y", "eps")))


def test_a_model_without_a_gradient_is_refused() -> None:
    class Fixed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.eye(4)[:, :3] - 0.1

    with pytest.raises(ValueError, match="model: logits with a gradient are needed, found none"):
        fgsm(Fixed(), random_images(), Y, 0.1)


@pytest.mark.parametrize("steps", [0, 2])
def test_restarts_refuse_probabilities_also_without_steps(steps: int) -> None:
    model = nn.Sequential(linear(), nn.Softmax(1))
    with pytest.raises(ValueError, match="model: logits are needed, found probabilities"):
        pgd(model, random_images(), Y, 0.1, step_size=0.1, steps=steps, restarts=2)


def test_logits_that_only_look_a_little_like_probabilities_pass() -> None:
    positive = torch.tensor([[0.5, 0.25, 0.25]] * 3 + [[0.5, 0.25, 0.5]])
    attacks.check_logits(positive, Y)
    attacks.check_logits(torch.tensor([[1.5, -0.25, -0.25]] * 4), Y)
    with pytest.raises(ValueError, match="probabilities"):
        attacks.check_logits(positive[:3], Y[:3])


class Breaking(nn.Module):
    """A model that is sound on the images and breaks on what lies more than `far` from them."""

    def __init__(self, how: str, far: float) -> None:
        super().__init__()
        self.inner, self.how, self.far = linear(), how, far

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.inner(x)
        moved = x.mean(dim=(1, 2, 3)) - 0.5
        broken = ((moved.abs() > self.far) & (torch.arange(len(x)) % 4 == 2))[:, None]
        if self.how == "logits":  # the gradient does not pass where they are replaced
            return torch.where(broken, torch.nan, logits)
        if logits.requires_grad:
            logits.register_hook(lambda gradient: gradient.masked_fill(broken, torch.nan))
        return logits


FLAT = torch.full((4, 2, 4, 5), 0.5, dtype=torch.float64)


@pytest.mark.parametrize("how", ["logits", "gradients"])
@pytest.mark.parametrize("name", ["pgd", "restarts", "multiply", "mma"])
def test_a_model_that_breaks_on_the_way_is_refused(name: str, how: str) -> None:
    settings: dict[str, Any] = {"step_size": 0.02, "steps": 6, "random_start": False}

    def attack(model: nn.Module) -> Tensor:
        if name == "mma":
            return mma(model, FLAT, Y, 0.1, **settings)
        more: dict[str, Any] = {"restarts": {"restarts": 2}, "multiply": {"update": name}}
        return pgd(model, FLAT, Y, 0.1, **settings, **more.get(name, {}))

    first = (attack(linear()) - FLAT).mean(dim=(1, 2, 3))[2].abs().item() / 5
    assert torch.equal(attack(Breaking(how, far=1)), attack(linear()))
    with pytest.raises(ValueError, match=r"^model: logits and gradients without NaN are needed"):
        attack(Breaking(how, far=2.5 * first))


def test_mma_refuses_a_model_that_breaks_at_the_end() -> None:
    with pytest.raises(ValueError, match=r"^model: finite logits are needed, found NaN"):
        mma(Breaking("logits", far=0), FLAT, Y, 0.1, step_size=0.02, steps=1, random_start=False)
