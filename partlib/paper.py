"""The tables of PART's paper (Zhang et al., 2024), and what was measured here beside them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from partlib import results

METHODS = {
    "AT": "at",
    "PART (s=1)": "part",
    "PART (s=10)": "part-s10",
    "TRADES": "trades",
    "PART-T (s=1)": "part-trades",
    "PART-T (s=10)": "part-trades-s10",
    "MART": "mart",
    "PART-M (s=1)": "part-mart",
    "PART-M (s=10)": "part-mart-s10",
}
"""The paper's nine methods, and the labels of their runs here."""

METRICS = {"natural": "natural", "pgd20": "PGD-20", "mma": "MMA", "aa": "AA"}
"""The paper's four accuracies, by the names under which they are measured here."""

SETTINGS = {
    ("ResNet-18", "CIFAR-10"): ("cifar10", "resnet18"),
    ("ResNet-18", "SVHN"): ("svhn", "resnet18"),
    ("WideResNet-34-10", "TinyImagenet-200"): ("tiny-imagenet", "wrn-34-10"),
}
"""Network and data set in the paper's words, and in those of this library."""

NOT_RUN = "not run"


def main_table() -> list[dict[str, Any]]:
    """The paper's main table: 27 rows of architecture, dataset, method, accuracies and spreads.

    Accuracies are in percent, "natural", "pgd20", "mma" and "aa"; "natural_std" and so on are
    their standard deviations as the paper gives them.
    """
    return [
        {k: v if k in ("architecture", "dataset", "method") else float(v) for k, v in row.items()}
        for row in _read("main.csv")
    ]


def corruption_table() -> list[dict[str, Any]]:
    """The talk's second table: 19 rows of a corruption and the accuracy of six methods on it."""
    return [
        {k: v if k == "corruption" else float(v) for k, v in row.items()}
        for row in _read("corruptions.csv")
    ]


def quadrant_table() -> list[dict[str, Any]]:
    """The proof of concept: 2 rows of a quadrant, its budget, the others', and accuracies.

    Budgets are in 1/255, accuracies in percent. The paper shows two of the four quadrants, each
    without seeds.
    """
    numbers = ("low", "rest", "natural", "pgd20")
    return [
        {k: float(v) if k in numbers else v for k, v in row.items()}
        for row in _read("quadrants.csv")
    ]


def main_beside(architecture: str, dataset: str) -> list[dict[str, str]]:
    """One block of the main table, each accuracy of the paper beside the one measured here.

    Args:
        architecture: a network in the paper's words, see `SETTINGS`.
        dataset: a data set in the paper's words.

    Returns:
        Nine rows of texts: the method, "seeds here", and for each accuracy "NAME, paper" and
        "NAME, here", as mean ± standard deviation, and "NAME, difference", in points. What was not
        run says so, a method once; the paper's figure never stands in. A column that would be
        empty is not there.

    Raises:
        ValueError: a pair that is not in the paper.
    """
    if (architecture, dataset) not in SETTINGS:
        known = "; ".join(" on ".join(pair) for pair in SETTINGS)
        raise ValueError(
            f"architecture and dataset: one of {known}, found {architecture!r} on {dataset!r}"
        )
    runs = results.measured(*SETTINGS[architecture, dataset])
    table = []
    for row in main_table():
        if (row["architecture"], row["dataset"]) == (architecture, dataset):
            label = METHODS[row["method"]]
            seeds = len(results.values(runs, label, "natural"))
            line = {"method": row["method"], "seeds here": str(seeds or NOT_RUN)}
            for metric, word in METRICS.items():
                line[f"{word}, paper"] = f"{row[metric]:.2f} ± {row[metric + '_std']:.2f}"
                line[f"{word}, here"] = measured(runs, label, metric) if seeds else ""
                ours = results.over_seeds(runs, label, metric)
                line[f"{word}, difference"] = f"{ours.mean - row[metric]:+.2f}" if ours else ""
            table.append(line)
    filled = [column for column in table[0] if any(line[column] for line in table)]
    return [{column: line[column] for column in filled} for line in table]


def corruptions_beside() -> list[dict[str, str]]:
    """The talk's second table, each accuracy beside the one measured here.

    Returns:
        19 rows of texts: the corruption, and for each method "PAPER / HERE", in percent. What was
        not run says so; where none was, a column "here" says it for the row.
    """
    runs = results.measured("cifar10", "resnet18")
    table = []
    for row in corruption_table():
        name = row.pop("corruption")
        metric = "corruption/" + name.lower().replace(" ", "_")
        here = {method: measured(runs, METHODS[method], metric) for method in row}
        line = {"corruption": name}
        if set(here.values()) == {NOT_RUN}:
            line["here"] = NOT_RUN
            here = {}
        for method, value in row.items():
            line[method] = " / ".join([f"{value:.2f}", *([here[method]] if here else [])])
        table.append(line)
    return table


def measured(runs: list[dict[str, Any]], label: str, metric: str) -> str:
    """A metric of a label's runs as text, or "not run".

    Args:
        runs: records, as `results.read` gives them.
        label: which runs.
        metric: a key of their metrics, such as "pgd20".
    """
    found = results.over_seeds(runs, label, metric)
    return NOT_RUN if found is None else found.text(digits=2)


def _read(name: str) -> list[dict[str, str]]:
    path: Path = results.folder("paper") / name
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
