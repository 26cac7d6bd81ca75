"""Put first seeds into the library's zoo: of scene-digits natural training and the nine methods.

    python -m experiments.zoo

Of CIFAR-10 it is AT and PART at 4/255. Weights come from `runs/`, where the experiments leave them.
"""

from __future__ import annotations

from experiments import cifar10_small, scene_digits
from partlib import checkpoints, paper, runs, zoo

NETWORKS = {
    **{label: (scene_digits.grid, label) for label in ("natural", *paper.METHODS.values())},
    **{f"cifar10-{label}": (cifar10_small.grid, label) for label in ("at", "part-low4")},
}
"""By their names in the zoo, where each was run and its label there."""


def main() -> None:
    """Copy weights and record of each, unless its weights are not those of its record."""
    for name, (grid, label) in NETWORKS.items():
        folder = grid.runs / f"{label}-seed0"
        model, record = runs.model_named(str(folder))
        if record["commit"].endswith("+"):
            raise ValueError(f"folder: {folder} was made from code that was not committed")
        checkpoints.write_json(zoo.HERE / f"{name}.json", record)
        checkpoints.save_weights(model, zoo.HERE / f"{name}.safetensors")
        print(name)


if __name__ == "__main__":
    main()
