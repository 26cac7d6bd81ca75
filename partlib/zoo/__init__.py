"""A zoo of small trained networks that come with the library, each with its card.

They are `small` networks, seed 0. On scene-digits: "natural" training and the nine methods of
PART's main table, such as "at", "part", "trades" and "part-trades-s10". On CIFAR-10: "cifar10-at"
and "cifar10-part-low4", PART with 4/255 on unimportant pixels. A card is the record of the run that
made the weights: command, configuration, commit, versions, seconds, metrics, sha256.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from partlib import checkpoints
from partlib.models import Classifier, build

HERE = Path(__file__).resolve().parent


def names() -> tuple[str, ...]:
    """The networks that there are."""
    return tuple(sorted(path.stem for path in HERE.glob("*.json")))


def card(name: str) -> dict[str, Any]:
    """How a network was made and what it reached.

    Raises:
        ValueError: there is no network of that name.
    """
    if name not in names():
        raise ValueError(f"name: one of {', '.join(names())} is needed, found {name!r}")
    loaded: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
    return loaded


def load(name: str) -> Classifier:
    """A trained network, on the CPU and in eval mode.

    Raises:
        ValueError: there is no network of that name, or its weights are not those of its card.
    """
    about = card(name)
    model = build(about["network"], about["num_classes"], seed=0)
    checkpoints.load_weights(model, HERE / f"{name}.safetensors")
    if checkpoints.weights_sha256(model) != about["weights_sha256"]:
        raise ValueError(f"name: the weights of {name!r} are not those of its card")
    return model.eval()
