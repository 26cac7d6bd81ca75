"""Train `small` on scene-digits by every method, five seeds each, and refresh the zoo.

    python -m experiments.scene_digits

Each run is one command of `python -m partlib`, which stands in its result. A run whose result is
there is left out, a run that was cut off resumes, so this can be stopped and started at will.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SEEDS = range(5)
METHODS: dict[str, list[str]] = {
    "natural": ["natural"],
    "at": ["at"],
    "part": ["part"],
    "part-low4": ["part", "--eps-low", "4"],
}
ZOO = ("natural", "at", "part")


def main() -> None:
    """Run what is missing, seed by seed, so that every method has the same seeds at any time."""
    for seed in SEEDS:
        for label, arguments in METHODS.items():
            record = Path("results/scene-digits/small") / f"{label}-seed{seed}.json"
            if (ROOT / record).exists():
                continue
            command = ["train", "scene-digits", *arguments, "--seed", str(seed)]
            subprocess.run(
                [sys.executable, "-m", "partlib", *command, "--record", str(record)],
                cwd=ROOT,
                check=True,
            )
            if seed == 0 and label in ZOO:
                keep(label, record)


def keep(label: str, record: Path) -> None:
    """Copy a run's weights and result into the zoo."""
    run = ROOT / "runs" / f"scene-digits-small-{label}-seed0"
    zoo = ROOT / "partlib" / "zoo"
    shutil.copyfile(run / "weights.safetensors", zoo / f"{label}.safetensors")
    shutil.copyfile(ROOT / record, zoo / f"{label}.json")


if __name__ == "__main__":
    main()
