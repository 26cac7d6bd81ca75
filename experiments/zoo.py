"""Put first seeds into the library's zoo: of scene-digits natural training and the nine methods.

    python -m experiments.zoo                  all
    python -m experiments.zoo cifar10-at       one

Of CIFAR-10 it is AT and PART at 4/255. Weights come from `runs/`, where the experiments leave them,
cards from `results/`.
"""

from __future__ import annotations

import argparse
import json

from experiments import cifar10_small, scene_digits
from partlib import checkpoints, models, paper, zoo

NETWORKS = {
    **{label: (scene_digits.grid, label) for label in ("natural", *paper.METHODS.values())},
    **{f"cifar10-{label}": (cifar10_small.grid, label) for label in ("at", "part-low4")},
}
"""By their names in the zoo, where each was run and its label there."""


def put(name: str) -> None:
    """Copy weights and record of one.

    Raises:
        ValueError: its weights are not those of its record.
    """
    grid, label = NETWORKS[name]
    card = json.loads(grid.record(label, 0).read_text())
    weights = grid.runs / f"{label}-seed0" / "weights.safetensors"
    model = models.build(card["network"], card["num_classes"], seed=0)
    checkpoints.load_weights(model, weights)
    if (card["commit"] or "+").endswith("+"):
        raise ValueError(f"name: {name!r} was made from code that was not committed")
    if checkpoints.weights_sha256(model) != card["weights_sha256"]:
        raise ValueError(f"name: the weights of {name!r} are not those of its result")
    checkpoints.save_weights(model, zoo.HERE / f"{name}.safetensors")
    checkpoints.write_json(zoo.HERE / f"{name}.json", card)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.zoo", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"of {', '.join(NETWORKS)} (default: all)")
    names = parser.parse_args().name or list(NETWORKS)
    if unknown := [name for name in names if name not in NETWORKS]:
        parser.error(f"name: one of {', '.join(NETWORKS)} is needed, found {unknown[0]!r}")
    for name in names:
        put(name)
        print(name)


if __name__ == "__main__":
    main()
