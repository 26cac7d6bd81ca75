"""Whatever numbers and tensors are given: a public function works, or says which argument is wrong.

The attacks are tried much harder in `test_attack_inputs`.
"""

import math
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from types import FrameType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from partlib import (
    attacks,
    budgets,
    cam,
    corruptions,
    data,
    diagnose,
    evaluation,
    methods,
    models,
    paper,
    recipes,
    results,
    runs,
    scale,
    show,
    training,
    zoo,
)
from partlib.data import ImageSet

CASES: Counter[str] = Counter()
WANTED = 2000
SECONDS = 20  # a case that takes longer hangs


class Net(models.Classifier):
    """A network for images of any size that batch normalisation can tell it has been touched."""

    def __init__(self, classes: int) -> None:
        features = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU())
        super().__init__(features, models.PooledLinear(4, classes))


class Plain(Net):
    """The same, with a head that only gradients can see through."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.head = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, classes))


def _networks() -> list[nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [Net(4), Plain(4), Net(2), Net(1)]


NETWORKS = _networks()
BEFORE = [{k: v.clone() for k, v in net.state_dict().items()} for net in NETWORKS]
DRAWS = torch.Generator().manual_seed(0)
X = torch.rand(2, 3, 4, 4, generator=DRAWS)
LARGE = torch.rand(1, 3, 16, 16, generator=DRAWS)
Y = torch.tensor([0, 1])
HEAT = torch.rand(2, 4, 4, generator=DRAWS)
LOGITS = torch.randn(2, 4, generator=DRAWS)
SET = ImageSet("random", "test", (255 * X).byte(), Y, ("a", "b", "c", "d"))

VALUES = [0.0, 1.0, 0.5, -0.1, 1.5, 255.0, 1e-8, math.nan, math.inf, -math.inf]
TYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.uint8, torch.bool, torch.complex64,
]  # fmt: skip
SHAPES = [
    (), (0,), (1,), (2,), (3,), (4, 4), (2, 4), (0, 4), (2, 1), (2, 4, 4), (0, 4, 4), (2, 0, 4),
    (2, 5, 3), (1, 3, 4, 4), (2, 1, 4, 4), (0, 3, 4, 4), (2, 0, 4, 4), (2, 3, 4, 4), (2, 3, 0, 0),
    (2, 3, 1, 1), (3, 3, 9, 5), (2, 4, 4, 4), (1, 3, 16, 16), (2, 3, 17, 16), (1, 1, 1, 1, 1),
]  # fmt: skip
NUMBERS = st.sampled_from([*VALUES, 0, 1, 2, -1, 3, 8, 10**30])
COUNTS = st.sampled_from([0, 1, 2, 3, 5, -1, 1.5, math.nan, math.inf])
NAMES = st.sampled_from(["at", "part", "fog", "natural", "pgd2", "small", "test", "val", "", "x"])


@st.composite
def tensors(draw: st.DrawFn, like: Tensor) -> Tensor:
    """A tensor of another shape, type or with another value than a good one."""
    kind = draw(st.integers(0, 3))
    tensor = like.clone()
    if kind == 0:
        tensor = torch.rand(draw(st.sampled_from(SHAPES)), generator=torch.Generator()).to(like)
    if kind == 1 or draw(st.booleans()):
        tensor = tensor.to(draw(st.sampled_from(TYPES)))
    if kind == 2 and tensor.numel() and tensor.is_floating_point():
        tensor.view(-1)[draw(st.integers(0, tensor.numel() - 1))] = draw(st.sampled_from(VALUES))
    if kind == 3:
        tensor = torch.full_like(tensor, draw(st.sampled_from([0, 1, 3, 7])))
    return tensor


MODEL = st.sampled_from(NETWORKS)
LIKE_X, LIKE_Y, LIKE_HEAT = tensors(X), tensors(Y), tensors(HEAT)
BUDGET = NUMBERS | tensors(torch.full((4, 4), 0.03)) | tensors(torch.full((2, 1, 4, 4), 0.03))
SIZE = st.tuples(COUNTS, COUNTS)

Good = dict[str, Any]
Odd = dict[str, st.SearchStrategy[Any]]
SEEN: Good = {"model": NETWORKS[0], "x": X}
SEEN_ODD: Odd = {"model": MODEL, "x": LIKE_X}
MAP: tuple[Good, Odd] = ({**SEEN, "target": Y}, {**SEEN_ODD, "target": LIKE_Y})
ATTACK: tuple[Good, Odd] = (
    {**SEEN, "y": Y, "eps": 0.03},
    {**SEEN_ODD, "y": LIKE_Y, "eps": BUDGET},
)
STEPS: tuple[Good, Odd] = ({"steps": 2, "step_size": 0.01}, {"steps": COUNTS, "step_size": NUMBERS})
INNER: tuple[Good, Odd] = ({**STEPS[0], "eps": 0.03}, {**STEPS[1], "eps": NUMBERS})


OUTPUT: tuple[Good, Odd] = (
    {"logits": LOGITS, "y": Y},
    {"logits": tensors(LOGITS), "y": LIKE_Y},
)


def both(one: tuple[Good, Odd], good: Good, odd: Odd) -> tuple[Good, Odd]:
    return {**one[0], **good}, {**one[1], **odd}


def shift(x: Tensor, pad: int) -> Tensor:
    return data.shift_and_flip(x, pad=pad, flip=True, generator=torch.Generator().manual_seed(0))


def lines(x_values: list[float], values: list[float]) -> show.Picture:
    return show.draw_curve(x_values, {"a": values}, xlabel="x", ylabel="y", alt="a")


ROWS = st.lists(NUMBERS, max_size=4)
TARGETS: dict[str, tuple[Callable[..., Any], tuple[Good, Odd]]] = {
    "fgsm": (attacks.fgsm, ATTACK),
    "pgd": (attacks.pgd, both(ATTACK, *STEPS)),
    "mma": (attacks.mma, both(ATTACK, {"k": 2, **STEPS[0]}, {"k": COUNTS, **STEPS[1]})),
    "margin": (attacks.margin, OUTPUT),
    "check_logits": (attacks.check_logits, OUTPUT),
    "budgets.check": (budgets.check, ({"eps": 0.03, "x": X}, {"eps": BUDGET, "x": LIKE_X})),
    "quadrants": (
        budgets.quadrants,
        ({"size": (4, 4), "ul": 0.1, "ur": 0.1, "bl": 0.1, "br": 0.1},
         {"size": SIZE, "ul": NUMBERS, "ur": NUMBERS, "bl": NUMBERS, "br": NUMBERS}),
    ),
    "from_mask": (
        budgets.from_mask,
        ({"mask": HEAT > 0.5, "eps": 0.03, "eps_low": 0.02},
         {"mask": LIKE_HEAT | tensors(HEAT > 0.5), "eps": NUMBERS, "eps_low": NUMBERS}),
    ),
    **{name: (function, MAP) for name, function in cam.CAMS.items()},
    "important": (cam.important, ({"heat": HEAT}, {"heat": LIKE_HEAT, "rule": NAMES})),
    "published": (partial(cam.important, rule="published"), ({"heat": HEAT}, {"heat": LIKE_HEAT})),
    "jet": (cam.jet, ({"values": HEAT}, {"values": LIKE_HEAT})),
    "alignment": (
        cam.alignment,
        ({"heat": HEAT, "mask": HEAT > 0.5}, {"heat": LIKE_HEAT, "mask": LIKE_HEAT}),
    ),
    "corrupt": (
        corruptions.corrupt,
        ({"x": LARGE, "name": "contrast", "severity": 1, "seed": 0, "first": 0},
         {"x": tensors(LARGE), "name": NAMES, "severity": COUNTS, "seed": COUNTS, "first": COUNTS}),
    ),
    "load": (
        partial(data.load, "scene-digits"),
        ({"split": "test", "n": 2, "seed": 0}, {"split": NAMES, "n": COUNTS, "seed": COUNTS}),
    ),
    "hold_out": (
        data.hold_out,
        ({"images": SET, "n": 1, "seed": 0},
         {"images": st.just(SET[:0]) | st.just(SET[:1]), "n": COUNTS, "seed": COUNTS}),
    ),
    "shift_and_flip": (shift, ({"x": X, "pad": 1}, {"x": LIKE_X, "pad": COUNTS})),
    "to_float": (data.to_float, ({"pixels": SET.pixels}, {"pixels": tensors(SET.pixels)})),
    "class_names": (
        data.class_names,
        ({"name": "svhn", "num_classes": 10}, {"name": NAMES, "num_classes": COUNTS}),
    ),
    "evaluate": (
        evaluation.evaluate,
        ({"model": NETWORKS[0], "test_set": SET, "attacks": ["pgd2"], "eps": 0.03, "batch_size": 2},
         {"model": MODEL, "test_set": st.just(SET[:0]), "attacks": st.lists(NAMES, max_size=2),
          "eps": NUMBERS, "batch_size": COUNTS, "corruptions": st.lists(NAMES, max_size=1)}),
    ),
    "accuracy": (evaluation.accuracy, ({**SEEN, "y": Y}, {**SEEN_ODD, "y": LIKE_Y})),
    "diagnose": (
        diagnose.diagnose,
        both(ATTACK, {"y": NETWORKS[0].eval()(X).argmax(1), "steps": 4}, {"steps": COUNTS}),
    ),
    "at": (methods.at, INNER),
    "trades": (methods.trades, both(INNER, {"beta": 6.0}, {"beta": NUMBERS})),
    "mart": (methods.mart, both(INNER, {"beta": 6.0}, {"beta": NUMBERS})),
    "part": (
        methods.part,
        ({"base": methods.at(), "eps_low": 0.02, "refresh": 1, "warmup": 0},
         {"base": st.just(methods.natural()), "eps_low": NUMBERS, "refresh": COUNTS,
          "warmup": COUNTS, "cam": NAMES, "rule": NAMES, "update": NAMES}),
    ),
    "build": (
        models.build,
        ({"name": "small", "num_classes": 4, "seed": 0},
         {"name": NAMES, "num_classes": COUNTS, "seed": COUNTS}),
    ),
    "wide_resnet": (
        models.wide_resnet,
        ({"num_classes": 4, "depth": 10, "width": 1},
         {"num_classes": COUNTS, "depth": COUNTS, "width": COUNTS}),
    ),
    "TrainConfig": (
        training.TrainConfig,
        ({}, {**dict.fromkeys(("epochs", "batch_size", "pad", "seed"), COUNTS),
              **dict.fromkeys(("lr", "weight_decay", "ramp", "clip"), NUMBERS),
              **dict.fromkeys(("optimizer", "schedule", "precision"), NAMES)}),
    ),
    "spread": (results.spread, ({"numbers": [1.0, 2.0]}, {"numbers": ROWS})),
    "recipe": (recipes.recipe, ({"name": "scene-digits/small"}, {"name": NAMES})),
    "settings": (scale.settings, ({"name": "cpu"}, {"name": NAMES})),
    "card": (zoo.card, ({"name": "at"}, {"name": NAMES})),
    "model_named": (runs.model_named, ({"name": "at"}, {"name": NAMES})),
    "main_beside": (
        paper.main_beside,
        ({"architecture": "ResNet-18", "dataset": "SVHN"},
         {"architecture": NAMES, "dataset": NAMES}),
    ),
    "draw_images": (
        partial(show.draw_images, alt="a"),
        ({"x": X, "columns": 2, "limits": (0.0, 1.0)},
         {"x": LIKE_X | LIKE_HEAT, "columns": COUNTS, "limits": st.tuples(NUMBERS, NUMBERS)}),
    ),
    "draw_attack": (
        partial(show.draw_attack, alt="a"),
        ({"x": X, "x_adv": 1 - X, "k": 1, "eps": 0.03},
         {"x": LIKE_X, "x_adv": LIKE_X, "k": COUNTS, "eps": NUMBERS}),
    ),
    "draw_overlay": (
        partial(show.draw_overlay, alt="a"),
        ({"x": X, "heat": HEAT}, {"x": LIKE_X, "heat": LIKE_HEAT}),
    ),
    "draw_curve": (
        lines, ({"x_values": [1, 2], "values": [1, 2]}, {"x_values": ROWS, "values": ROWS}),
    ),
    "verdicts": (
        partial(show.verdicts, class_names="abcd"),
        ({"logits": LOGITS}, {"logits": tensors(LOGITS)}),
    ),
}  # fmt: skip
FEWER = {"diagnose": 20, "draw_images": 30, "draw_attack": 30, "draw_overlay": 30, "draw_curve": 15}
ALIASES = {
    "evaluate": {"attacks", "name", "x", "y"},
    "settings": {"SCALE"},
    "check_logits": {"model"},
    "cam": {"layer"},
    "budgets.check": {"x"},
    "recipe": {"recipe"},
    "model_named": {"model"},
    "part": {"base"},
    "class_names": {"num_classes"},
    "main_beside": {"architecture and dataset"},
    "draw_images": {"titles"},
    "draw_attack": {"x and x_adv", "delta"},
    "draw_curve": {"series['a']", "x_values"},
}


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    """A case that hangs fails, where the system has alarms."""

    def late(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"took longer than {seconds} s")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def sound(found: object) -> bool:
    """Whether a configuration that was accepted holds numbers that can be used."""
    if not isinstance(found, methods.Method | training.TrainConfig):
        return True
    return all(
        (field.type != "int" or isinstance(getattr(found, field.name), int))
        and (field.type != "float" or math.isfinite(getattr(found, field.name)))
        for field in fields(found)
    )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.filterwarnings("ignore")  # of NaN and of empty tensors, by numpy and matplotlib
def test_it_works_or_names_the_argument(target: str) -> None:
    function, (good, odd) = TARGETS[target]

    @settings(max_examples=FEWER.get(target, 70), database=None)
    @given(st.data())
    def one(case: st.DataObject) -> None:
        chosen = case.draw(st.sets(st.sampled_from(sorted(odd)), max_size=2), label="odd")
        values = {**good, **{name: case.draw(odd[name], label=name) for name in sorted(chosen)}}
        state = torch.get_rng_state()
        CASES[target] += 1
        refused = ""
        try:
            with no_longer_than(SECONDS):
                found = function(**values)
        except ValueError as error:
            refused = str(error)
        if refused:
            known = {*values, *ALIASES.get(target, ())}
            name = re.split(r":| must ", refused)[0]
            assert name in known, f"{refused} names none of {sorted(known)}"
        else:
            assert sound(found)
        if target != "wide_resnet":  # which draws its weights from there
            assert torch.equal(torch.get_rng_state(), state), "the global random state is left"
        for net, before in zip(NETWORKS, BEFORE, strict=True):
            assert all(p.requires_grad and p.grad is None for p in net.parameters())
            assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())

    training_before = [net.training for net in NETWORKS]
    one()
    assert [net.training for net in NETWORKS] == training_before


def test_enough_cases_were_tried() -> None:
    if set(CASES) != set(TARGETS):
        pytest.skip("not all of this file was run")
    print(f"{sum(CASES.values()):,} cases of {len(CASES)} functions")
    assert sum(CASES.values()) >= WANTED
