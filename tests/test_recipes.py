"""Recipes: every one can be run, and a wrong name or setting is said."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from partlib import data, models, scale
from partlib.recipes import BASES, METHODS, RECIPES, recipe

SCALES = {"cpu": "small", "gpu": "resnet18", "paper": "resnet18/paper"}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_names_what_there_is(name: str) -> None:
    chosen = recipe(name)
    assert name.startswith(f"{chosen.data}/{chosen.network}")
    assert chosen.data in data.NAMES
    assert chosen.network in models.BUILDERS
    assert chosen.warmup < chosen.config.epochs
    for method in METHODS:
        made = chosen.method(method)
        assert made.name == method
        assert made.eps == (0 if method == "natural" else 8 / 255)
        assert made.steps * made.step_size >= made.eps, "the attack can cross its budget"


def test_methods_have_the_recipes_own_attack() -> None:
    chosen = replace(recipe("cifar10/resnet18/paper"), steps=7, step_size=3 / 255)
    at, part = chosen.method("at"), chosen.method("part")
    assert (at.steps, at.step_size, at.rule) == (7, 3 / 255, None)
    assert (part.steps, part.step_size) == (7, 3 / 255)
    assert part.rule is not None
    assert part.warmup == chosen.warmup == 20
    assert part.settings["base"] == at.settings
    changed = chosen.method("part", eps_low=5 / 255, refresh=10, warmup=2)
    assert (changed.refresh, changed.warmup) == (10, 2)
    assert changed.settings["eps_low"] == 5 / 255


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("eps", [2 / 255, 12 / 255])
def test_steps_grow_and_shrink_with_the_budget(name: str, eps: float) -> None:
    chosen = recipe("scene-digits/small")
    made, usual = chosen.method(name, eps=eps), chosen.method(name)
    assert (made.eps, made.steps) == (eps, usual.steps)
    assert made.step_size / eps == pytest.approx(usual.step_size / usual.eps)
    assert made.settings["eps"] == eps
    part = chosen.method("part", base=name, eps=eps, eps_low=1 / 255)
    assert part.settings["base"] == made.settings
    assert part.settings["eps_low"] == 1 / 255
    assert chosen.method(name, eps=0).step_size == usual.step_size, "no step has size 0"


@pytest.mark.parametrize("base", BASES)
def test_part_wraps_any_base(base: str) -> None:
    chosen = recipe("scene-digits/small")
    made = chosen.method("part", base=base, eps_low=5 / 255)
    assert made.name == ("part" if base == "at" else f"part-{base}")
    alone = chosen.method(base)
    assert made.settings["base"] == alone.settings
    assert made.settings["base"]["method"] == base
    assert (made.inner, made.start) == (alone.inner, alone.start)


def test_the_papers_setting_is_the_published_one() -> None:
    chosen = recipe("cifar10/resnet18/paper")
    config = chosen.config
    assert (chosen.steps, chosen.step_size) == (10, 2 / 255)
    assert (config.epochs, config.batch_size, config.optimizer) == (80, 128, "sgd")
    assert (config.lr, config.weight_decay, config.milestones) == (0.01, 2e-4, (60, 90))
    assert (config.schedule, config.ramp, config.clip) == ("steps", 0, 0)
    assert (config.pad, config.flip) == (4, True)


@pytest.mark.parametrize("network", ["resnet18", "wrn-34-10"])
def test_the_papers_setting_for_svhn(network: str) -> None:
    ours = recipe(f"cifar10/{network}/paper")
    theirs = replace(ours.config, weight_decay=3.5e-3, pad=0, flip=False)
    expected = replace(ours, data="svhn", config=theirs, step_size=1 / 255)
    assert recipe(f"svhn/{network}/paper") == expected


def test_every_recipe_is_under_its_own_name() -> None:
    for name, chosen in RECIPES.items():
        assert name.removesuffix("/paper") == f"{chosen.data}/{chosen.network}"
        assert (chosen.warmup == 20) == name.endswith("/paper")
        if chosen.data == "svhn":
            assert (chosen.config.pad, chosen.config.flip) == (0, False), "a mirrored digit is none"


def test_scales_have_the_recipes_that_they_say() -> None:
    for name in ("cpu", "gpu", "paper"):
        found = scale.settings(name)
        assert isinstance(found, scale.Scale)
        assert (found.name, found.recipe) == (name, RECIPES[f"{found.recipe.data}/{SCALES[name]}"])
    with pytest.raises(ValueError, match="SCALE: one of cpu, gpu, paper is needed, found 'tpu'"):
        scale.settings("tpu")


@pytest.mark.parametrize("name", SCALES)
def test_all_that_chapters_load_is_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = torch.Generator().manual_seed(0)

    def cifar10(split: str, **_: object) -> data.ImageSet:
        pixels = torch.randint(0, 256, (3_000, 3, 2, 2), generator=draws, dtype=torch.uint8)
        return data.ImageSet("cifar10", split, pixels, torch.arange(3_000) % 10, ("a",) * 10)

    monkeypatch.setattr(data.cifar10, "load", cifar10)
    here = scale.settings(name)
    assert 100 <= len(here.test_set()) <= 1_000, "chapters attack them at once"
    chapters = Path(__file__).parents[1].glob("book/chapters/*.md")
    text = "\n".join(path.read_text(encoding="utf-8") for path in chapters)
    asked = set(re.findall(r'\bhere\.load\("(\w+)", n=([\d_]+)\)', text))
    assert len(asked) == len(set(re.findall(r"\bhere\.load\([^)]*\)", text)))
    assert {split for split, _ in asked} == {"train", "val"}
    for split, n in asked:
        assert len(here.load(split, n=int(n))) == int(n)


def test_validation_images_are_not_those_that_chapters_train_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = torch.arange(3_000)
    digits = torch.stack([numbers // 256, numbers % 256, 0 * numbers], dim=1)  # the number in bytes
    pixels = digits[:, :, None, None].byte()
    whole = data.ImageSet("cifar10", "train", pixels, numbers % 10, ("a",) * 10)
    monkeypatch.setattr(data.cifar10, "load", lambda *_, **__: whole)
    here = scale.settings("gpu")

    def which(split: str, n: int | None) -> set[int]:
        return {256 * a + b for a, b, _ in here.load(split, n=n).pixels[..., 0, 0].tolist()}

    assert (len(which("val", None)), len(which("val", 100))) == (1_000, 100)
    assert which("val", 100) == which("val", 100)
    assert not which("val", None) & which("train", 2_000)
    for n in (3_000, 0, -1):
        with pytest.raises(ValueError, match=rf"n: between 1 and 2999 is needed, found {n}$"):
            here.load("val", n=n)
    with pytest.raises(ValueError, match=r"split: cifar10 has train, test, found 'extra'"):
        here.load("extra")


def test_with_config_changes_that_alone() -> None:
    chosen = recipe("scene-digits/small")
    changed = chosen.with_config(epochs=3, seed=4)
    assert changed == replace(chosen, config=replace(chosen.config, epochs=3, seed=4))
    assert recipe("scene-digits/small") == chosen


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        (
            "trades-free",
            {},
            r"method: one of natural, at, trades, mart, part is needed, found 'trades-free'",
        ),
        ("at", {"refresh": 2}, r"settings: at takes none but eps, found \{'refresh': 2\}"),
        ("natural", {"eps": 0.1}, r"settings: natural takes none, found"),
        ("at", {"eps": 1.5}, r"eps: a value in \[0, 1\] is needed, found 1.5"),
        ("part", {"eps_low": 0.5}, r"eps_low: .*found 0.5"),
        ("part", {"refresh": 0}, r"refresh: .*found 0"),
        ("part", {"base": "part"}, r"base: one of at, trades, mart is needed, found 'part'"),
        ("trades", {"base": "at"}, r"settings: trades takes none"),
    ],
)
def test_a_wrong_method_or_setting_is_said(
    method: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        recipe("scene-digits/small").method(method, **settings)


def test_a_wrong_recipe_or_configuration_is_said() -> None:
    with pytest.raises(ValueError, match=r"recipe: one of .*cifar10/small.* found 'mnist/small'"):
        recipe("mnist/small")
    with pytest.raises(ValueError, match=r"epochs: .*found 0"):
        recipe("scene-digits/small").with_config(epochs=0)
