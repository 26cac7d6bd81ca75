"""Put the first seed of natural training and of the nine methods into the library's zoo.

    python -m experiments.zoo

Weights come from `runs/`, where `python -m experiments.scene_digits` leaves them.
"""

from __future__ import annotations

from experiments.scene_digits import grid
from partlib import checkpoints, paper, runs, zoo

LABELS = ("natural", *paper.METHODS.values())


def main() -> None:
    """Copy weights and record of each, unless its weights are not those of its record."""
    for label in LABELS:
        folder = grid.runs / f"{label}-seed0"
        model, record = runs.model_named(str(folder))
        if record["commit"].endswith("+"):
            raise ValueError(f"folder: {folder} was made from code that was not committed")
        checkpoints.write_json(zoo.HERE / f"{label}.json", record)
        checkpoints.save_weights(model, zoo.HERE / f"{label}.safetensors")
        print(label)


if __name__ == "__main__":
    main()
