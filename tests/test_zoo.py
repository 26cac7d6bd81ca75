"""The zoo: what its cards say is what its weights do."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from partlib import data, evaluation, paper, zoo

DIGITS = ("natural", *paper.METHODS.values())
NAMES = {name: ("scene-digits", name) for name in DIGITS} | {
    f"cifar10-{label}": ("cifar10", label) for label in ("at", "part-low4")
}


def test_the_zoo_has_the_networks_that_it_names() -> None:
    assert zoo.names() == tuple(sorted(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_how_its_weights_were_made(name: str) -> None:
    card = zoo.card(name)
    found = tuple(card[key] for key in ("data", "label", "network", "seed"))
    assert found == (*NAMES[name], "small", 0)
    of = "cifar10_small" if card["data"] == "cifar10" else "scene_digits"
    commands = ("partlib train scene-digits", f"experiments.{of}")
    assert card["command"].startswith(tuple(f"python -m {c} {card['label']} " for c in commands))
    assert card["commit"]
    assert not card["commit"].endswith("+"), "made from code that was not committed"
    assert card["seconds"]["train"] > 0
    assert (zoo.HERE / f"{name}.safetensors").stat().st_size < 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_measured_again(name: str, request: pytest.FixtureRequest) -> None:
    model, card = zoo.load(name), zoo.card(name)
    if card["data"] == "cifar10":
        request.getfixturevalue("cifar10_root")
    test = data.load(card["data"], "test")
    assert len(test) == card["n_test"]
    attacks = tuple(card["metrics"]) if name in ("natural", "at", "part") else ("natural",)
    found = evaluation.evaluate(model, test, attacks)
    # Another processor rounds a few gradients to the other sign: six images in 2,000.
    assert found == pytest.approx({key: card["metrics"][key] for key in attacks}, abs=0.31)


def test_networks_are_ready_to_use() -> None:
    model = zoo.load("natural")
    assert not model.training
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_weights_that_are_not_the_cards_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(zoo.HERE / "at.json", tmp_path / "at.json")
    shutil.copyfile(zoo.HERE / "natural.safetensors", tmp_path / "at.safetensors")
    monkeypatch.setattr(zoo, "HERE", tmp_path)
    with pytest.raises(ValueError, match="the weights of 'at' are not those of its card"):
        zoo.load("at")
    with pytest.raises(ValueError, match="name: one of at is needed, found 'natural'"):
        zoo.load("natural")


def test_the_zoo_is_the_first_seed_of_the_results() -> None:
    """The result may have more figures than the card, measured later on the same weights."""
    for name, (of, label) in NAMES.items():
        path = Path(zoo.HERE).parents[1] / f"results/{of}/small/{label}-seed0.json"
        record, card = json.loads(path.read_text()), zoo.card(name)
        assert record.pop("metrics").items() >= card.pop("metrics").items()
        assert record.pop("seconds")["train"] == card.pop("seconds")["train"]
        assert {key: record[key] for key in card} == card
