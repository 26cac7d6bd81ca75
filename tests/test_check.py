"""Every solution in the book is accepted, every stub known as one, every mutant rejected."""

import ast
import copy
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from partlib import cam, check
from partlib.check import NOT_YET, RIGHT, verdict
from tests.test_chapters import code, page

WHERE = {
    "01": ("at_the_limit", "by_luck", "by_asking"),
    "02": ("targeted", "losses", "as_bytes"),
    "03": ("project_l2", "unprojected", "straight_through"),
    "04": ("buffers_changed", "mixture_loss", "natural_beta"),
    "05": ("points_at", "rather_than", "of_random_class"),
    "06": ("mean_of_quarters", "checkerboard", "images_needed"),
    "07": ("equal_mean", "other_masks", "pixel_ag_clamp"),
    "08": ("seeds_needed", "unpaired_sd", "without_times"),
    "09": ("monotone", "same_class", "false_alarm"),
    "a1": ("of_images", "mended", "is_sound"),
}
CHAPTER = {name: number for number, names in WHERE.items() for name in names}
each = pytest.mark.parametrize("name", CHAPTER)


def written(name: str) -> str:
    """What an exercise is called in its chapter."""
    return "StraightThrough" if name == "straight_through" else name


def solved(name: str) -> str:
    return written(name) + ("Solution" if name == "straight_through" else "_solution")


def source(name: str) -> ast.stmt:
    """The solution as the chapter has it."""
    for cell in code(CHAPTER[name]):
        for node in ast.parse(cell).body:
            if solved(name) in (getattr(node, "name", ""), *targets(node)):
                return node
    raise AssertionError(f"no {solved(name)} in chapter {CHAPTER[name]}")


def targets(node: ast.stmt) -> list[str]:
    if not isinstance(node, ast.Assign):
        return []
    return [target.id for target in node.targets if isinstance(target, ast.Name)]


SWAPS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.Eq: ast.NotEq, ast.GtE: ast.Gt,
}  # fmt: skip
OTHERS = {
    "argmax": "argmin", "maximum": "minimum", "minimum": "maximum", "gather": "scatter",
    "sign": "abs", "stdev": "pstdev", "ceil": "floor", "round": "floor", "x_adv": "x",
    "target": "y", "eps_low": "eps", "clamp": "relu", "amax": "amin", "comb": "perm",
}  # fmt: skip


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What may go wrong at one place, each with its name."""
    if isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
        yield "operator", ast.BinOp(node.left, SWAPS[type(node.op)](), node.right)
        yield "left side alone", node.left
        yield "right side alone", node.right
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        yield "sign", node.operand
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        op = SWAPS[type(node.ops[0])]()
        yield "comparison", ast.Compare(node.left, [op], node.comparators)
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield "constant", ast.Constant(node.value + 1)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        yield f"no {node.func.attr}", node.func.value
        for old, new in OTHERS.items():
            if node.func.attr == old:
                func = ast.Attribute(node.func.value, new, ast.Load())
                yield f"{new} for {old}", ast.Call(func, node.args, node.keywords)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        yield "one round less", ast.Call(node.func, [ast.Constant(1), *node.args[-1:]], [])
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in OTHERS:
        yield f"{OTHERS[node.id]} for {node.id}", ast.Name(OTHERS[node.id], ast.Load())
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.Expr)):
        yield "left out", ast.Pass()


class Change(ast.NodeTransformer):
    """Make the n-th change that is possible."""

    def __init__(self, n: int) -> None:
        self.n, self.seen, self.what = n, 0, ""

    def visit(self, node: ast.AST) -> Any:
        for what, changed in changes(node):
            self.seen += 1
            if self.seen - 1 == self.n:
                self.what = f"line {getattr(node, 'lineno', 0)}: {what}: {ast.unparse(node)}"
                return changed
        return self.generic_visit(node)


def mutants(name: str) -> Iterator[tuple[str, ast.stmt]]:
    n = 0
    while True:
        change = Change(n)
        tree = change.visit(copy.deepcopy(source(name)))
        if not change.what:
            return
        yield change.what, ast.fix_missing_locations(tree)
        n += 1


def run(name: str, tree: ast.stmt) -> Any:
    names = {k: v for k, v in vars(page(CHAPTER[name])).items() if k != solved(name)}
    exec(compile(ast.Module([tree], []), name, "exec"), names)
    return names.get(solved(name))


# Changes that leave an answer right: a copy or a number more, a move to where it is, other squares,
# another neighbour.
EQUIVALENT = {
    "at_the_limit": {"line 2: no item: (delta.abs() > 0.99 * eps).float().mean().item()"},
    "by_luck": {"line 2: constant: 1"},
    "by_asking": {
        "line 4: one round less: range(questions)",
        "line 5: no tolist: torch.randint(0, 25, (2,), generator=generator).tolist()",
        "line 5: constant: 0",
        "line 5: constant: 25",
        "line 6: operator: torch.randint(2, (len(x), 3, 1, 1), generator=generator).to(x) * 2",
        "line 6: left side alone: torch.randint(2, (len(x), 3, 1, 1), generator=generator).to(x) * 2",  # noqa: E501
        "line 6: no to: torch.randint(2, (len(x), 3, 1, 1), generator=generator).to(x)",
        "line 8: operator: top + 8",
        "line 8: right side alone: top + 8",
        "line 8: operator: left + 8",
        "line 8: right side alone: left + 8",
        "line 8: constant: 8",
        "line 9: operator: x[square] + eps * sign",
        "line 9: operator: eps * sign",
    },
    "targeted": {
        "line 2: no clone: x.clone()",
        "line 5: no detach: (x - eps * gradient.sign()).clamp(0, 1).detach()",
    },
    "losses": {"line 2: no clone: x.clone()", "line 8: no detach: linear.detach()"},
    "unprojected": {"line 2: no clone: x.clone()", "line 7: no detach: x_adv.detach()"},
    "rather_than": {
        "line 2: no detach: model.head.linear.weight.detach()",
        "line 3: no detach: model.features(x).detach()",
    },
    "of_random_class": {
        "line 3: no to: torch.randint(1, classes, (len(x),), generator=generator).to(x.device)",
        "line 5: operator: said + further",
    },
    "equal_mean": {"line 2: no item: budget.mean().item()"},
    "other_masks": {"line 2: constant: 1"},
    "pixel_ag_clamp": {"line 7: no detach: delta.detach()"},
    "same_class": {"line 3: no unique: y.unique()", "line 5: constant: 1"},
    "mended": {"line 4: no clone: x.clone()"},
}
BY_HAND = {
    "noise": ("targeted", "gradient.sign()", "torch.randn_like(x).sign()"),
    "train mode": ("targeted", "model(x)", "model.train()(x)"),
    "the gradient itself": ("targeted", "gradient.sign()", "gradient / gradient.abs().max()"),
    "noise in each step": ("unprojected", "gradient.sign()", "torch.randn_like(x).sign()"),
    "gradient at x": ("unprojected", "model(x_adv)", "model(x + x_adv - x_adv.detach())"),
    "projected": ("unprojected", "clamp(0, 1)", "clamp(0, 1).clamp(x - 0.03, x + 0.03)"),
    "wrong labels": ("pixel_ag_clamp", "y, reduction", "y.flip(0), reduction"),
    "one budget for all": ("pixel_ag_clamp", "m * eps", "eps"),
    "train mode in each step": ("pixel_ag_clamp", "model(x + delta)", "model.train()(x + delta)"),
    "transposed map": ("points_at", "heat.flatten(1)", "heat.transpose(1, 2).flatten(1)"),
    "a half counts": ("points_at", "> 0.5", ">= 0.5"),
    "nearly all of it": ("points_at", "> 0.5", "> 0.9"),
    "transposed features": ("rather_than", "maps).sum", "maps.transpose(2, 3)).sum"),
    "cut at zero": ("rather_than", ".sum(dim=1)", ".sum(dim=1).relu()"),
    "one length for the batch": ("project_l2", "norm(dim=1)", "norm().expand(len(delta))"),
    "one class for all": ("of_random_class", "(len(x),)", "(1,)).expand(len(x)"),
    "from all classes": ("of_random_class", "(said + further) % classes", "further - 1"),
    "the predicted one too": ("of_random_class", "(1, classes,", "(0, classes,"),
    "never the last class": ("of_random_class", "(1, classes,", "(1, classes - 1,"),
    "of two others": ("of_random_class", "(1, classes,", "(1, 3,"),
    "in turn": ("of_random_class", "torch.randint(1, classes, (len(x),), generator=generator)",
                "(1 + torch.arange(len(x)) % (classes - 1))"),
    "by another generator": ("of_random_class", ", generator=generator", ""),
    "no reduction": ("mixture_loss", "F.cross_entropy(model(x), y)",
                     "F.cross_entropy(model(x), y, reduction='none')"),
    "half a block": ("checkerboard", "[::2, ::2]", "[::2]"),
    "the same for all": ("other_masks", "mask.roll(1, dims=0)", "mask[:1].expand_as(mask)"),
    "in any order": ("other_masks", "mask.roll(1, dims=0)", "mask[torch.randperm(len(mask))]"),
    "back to front": ("other_masks", "mask.roll(1, dims=0)", "mask.flip(0)"),
    "at the top alone": ("without_times", "without_times_solution(value) for key", "value for key"),
    "not in lists": ("without_times", "isinstance(entry, list)", "isinstance(entry, tuple)"),
    "another key": ("without_times", "'seconds'", "'loss'"),
    "infinity of the wrong sign": ("monotone", "-torch.inf", "torch.inf"),
    "for all images at once": ("monotone", "coolest >= hottest",
                               "(coolest >= hottest).all().expand(len(heat))"),
    "hotter, not as hot": ("monotone", "coolest >= hottest", "coolest > hottest"),
    "back to front in a class": ("same_class", "members.roll(1)", "members.flip(0)"),
    "across the classes": ("same_class", "y == c", "y >= 0"),
    "one mask a class": ("same_class", "mask[members.roll(1)]", "mask[members[:1]]"),
    "in place": ("same_class", "mask.clone()", "mask"),
    "expected, not probable": ("false_alarm", "1 - 0.95 ** k", "0.05 * k"),
    "all of them": ("false_alarm", "1 - 0.95 ** k", "0.05 ** k"),
    "divided first": ("of_images", "(x - mean) / std", "x / std - mean"),
    "around the last": ("mended", ".sign(), x, eps)", ".sign(), x_adv, eps)"),
    "clamped at the end": ("mended", "x, eps).clamp(0, 1)", "x, eps)"),
    "left in eval mode": ("mended", "module.training = mode", "module.training = False"),
    "left in train mode": ("mended", "module.training = mode", "module.training = True"),
    "one mode for all": ("mended", "module.training = mode", "module.training = modes[model]"),
    "in any mode": ("mended", "model.eval()", "pass"),
    "on the average": ("is_sound", "(loss(x_adv) > loss(noise)).all()",
                       "loss(x_adv).mean() > loss(noise).mean()"),
    "more than nothing": ("is_sound", "loss(noise)", "loss(x)"),
    "random masks": ("other_masks", "mask.roll(1, dims=0)", "torch.rand(mask.shape) > 0.5"),
}  # fmt: skip


def another_class(model: Any, x: Any, generator: torch.Generator) -> Any:
    said = model(x).argmax(1)
    classes = model.head.linear.out_features
    drawn = torch.randint(0, classes - 1, (len(x),), generator=generator)
    return cam.grad_cam(model, x, drawn + (drawn >= said))


def by_weights(model: Any, x: Any, generator: torch.Generator) -> Any:
    weights = torch.ones(len(x), model.head.linear.out_features)
    weights[range(len(x)), model(x).argmax(1)] = 0
    return cam.grad_cam(model, x, torch.multinomial(weights, 1, generator=generator)[:, 0])


def scaled(delta: torch.Tensor, eps: float) -> torch.Tensor:
    factor = eps / delta.flatten(1).norm(dim=1).clamp(min=1e-12)
    delta *= factor.clamp(max=1)[:, None, None, None]
    return delta


def rolled(mask: torch.Tensor) -> torch.Tensor:
    mask[:] = mask.roll(1, dims=0)
    return mask


# Right in another way: by numbers of another library, or in place.
RIGHT_TOO: dict[str, tuple[str, Any]] = {
    "numpy's number": ("seeds_needed", lambda sd, half: np.ceil((2 * sd / half) ** 2)),
    "numpy's float32": ("equal_mean", lambda budget: budget.numpy().mean()),
    "an array of no dimension": ("mean_of_quarters", lambda a, b: np.array((a + 3 * b) / 4)),
    "a whole number of numpy": ("natural_beta", np.int64(0)),
    "a fraction": (
        "by_luck",
        lambda k, n: sum(Fraction(math.comb(n, j), 2**n) for j in range(k, n + 1)),
    ),
    "images in place": ("as_bytes", lambda x: x.mul_(255).round_().div_(255)),
    "changes in place": ("project_l2", scaled),
    "masks in place": ("other_masks", rolled),
    "another class, past the predicted": ("of_random_class", another_class),
    "another class, by weights": ("of_random_class", by_weights),
}


@pytest.mark.parametrize("way", RIGHT_TOO)
def test_another_way_is_right_too(way: str) -> None:
    assert verdict(*RIGHT_TOO[way]) == RIGHT


def test_every_exercise_is_here() -> None:
    assert set(CHAPTER) == set(check.CHECKS)
    assert set(CHAPTER) | {"CHECKS", "NOT_YET", "RIGHT", "verdict"} == set(check.__all__)


@each
def test_the_solution_is_right(name: str) -> None:
    assert verdict(name, getattr(page(CHAPTER[name]), solved(name))) == RIGHT


@each
def test_the_stub_is_not_implemented_yet(name: str) -> None:
    assert verdict(name, getattr(page(CHAPTER[name]), written(name))) == NOT_YET


@each
def test_mutants_are_rejected(name: str) -> None:
    accepted = [what for what, tree in mutants(name) if verdict(name, run(name, tree)) == RIGHT]
    assert set(accepted) == EQUIVALENT.get(name, set())


@pytest.mark.parametrize("mistake", BY_HAND)
def test_typical_mistakes_are_rejected(mistake: str) -> None:
    name, old, new = BY_HAND[mistake]
    text = ast.unparse(source(name))
    assert old in text
    (tree,) = ast.parse(text.replace(old, new)).body
    found = verdict(name, run(name, tree))
    assert found not in (RIGHT, NOT_YET)


def test_there_are_many_mutants() -> None:
    counts = {name: sum(1 for _ in mutants(name)) for name in CHAPTER}
    assert min(counts.values()) >= 1
    assert sum(counts.values()) >= 350


@each
@pytest.mark.parametrize(
    "nonsense", [None, 3, "text", lambda: None, lambda *a, **k: None, lambda *a, **k: "text",
                 lambda *a, **k: torch.full((2,), torch.nan)],
)  # fmt: skip
def test_nonsense_is_answered_and_never_raises(name: str, nonsense: Any) -> None:
    found = verdict(name, nonsense)
    assert found
    assert found != RIGHT


def test_an_unknown_exercise_is_refused() -> None:
    with pytest.raises(ValueError, match=r"name: one of .*, found 'fame'"):
        verdict("fame", None)


def test_a_check_displays_its_verdict_and_leaves_the_random_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr("partlib.check.answers.say", said.append)
    before = torch.get_rng_state()
    assert check.natural_beta(0) is None  # type: ignore[func-returns-value]
    check.natural_beta(None)
    check.of_random_class(page("05").of_random_class)
    assert said[:2] == ["`natural_beta`: right", f"`natural_beta`: {NOT_YET}"]
    assert torch.equal(before, torch.get_rng_state())
