"""Write what is measured into the README, from the results.

    python -m tools.readme

It says what each of the two budgets of PART does beside adversarial training, what the controls say
of the map, and what CIFAR-10 says of both. Of the digits it shows what was trained in float32.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from partlib import at_curve, chance, paper, questions, results, verdict
from tools.notebooks import ROOT

README = ROOT / "README.md"
START = "<!-- Made of the results by `python -m tools.readme` -->\n\n"
END = "<!-- End of what is made -->\n"
ROWS = {
    "natural": "natural training",
    "at": "adversarial training, 8/255 everywhere",
    "part": "PART, 7/255 on unimportant pixels",
    "part-low4": "PART, 4/255 on unimportant pixels",
}
CIFAR10 = {
    "at-fp32": f"{ROWS['at']}, in float32",
    "part-fp32": f"{ROWS['part']}, in float32",
    "at": f"{ROWS['at']}, in bfloat16 like the rows below",
    "at-like-part-low4": "adversarial training, the mean budget of PART at 4/255 everywhere",
    "part-low4": ROWS["part-low4"],
    "part-shuffled-low4": "the same, with another image's map",
}
LOW = {"": "7/255", "-low4": "4/255"}
"""End of the labels of PART and its controls, and their budget of unimportant pixels."""
TURNED = {f"part-low{k}": f"{k}/255" for k in (0, 2, 4, 6)} | {"part": "7/255"}
"""PART by its budget of unimportant pixels."""
ACCURACIES = {"natural": "natural", "pgd20": "PGD-20"}


def measured() -> str:
    """The README's section of results, as text in Markdown.

    Raises:
        ValueError: a row of its tables has not been run with all seeds.
    """
    every, photographs = (results.measured(data, "small") for data in ("scene-digits", "cifar10"))
    small = {end: results.trained_in(photographs, end) for end in ("fp32", "bf16")}
    runs = results.trained_in(every, "fp32")
    claimed = {
        low: verdict.compare(runs, questions.CLAIM[:1], suffix=end) for end, low in LOW.items()
    }
    controlled = {low: verdict.compare(runs, suffix=end) for end, low in LOW.items()}
    parts = [
        _in_short(runs),
        *_table(
            runs,
            ROWS,
            5,
            "Handwritten digits on photographs, a network of 175,000 parameters, trained in "
            "float32",
        ),
        _wrapped(
            "PART minus adversarial training in points, seed by seed, with 95 % intervals. Where "
            "one leaves zero out, that accuracy differs. *Traded* is one higher and the other "
            "lower; *open* is one whose interval is too wide to say that it held:"
        ),
        _differences(claimed),
        _wrapped(_claimed(runs)),
        _wrapped(
            "The same seeds were trained in bfloat16 before. Which precision comes first was "
            "decided when both were known; chapter 9 shows both. Together they say what rounding "
            "alone does:"
        ),
        _quoted(chance.rounding(verdict.compare(every, questions.ROUNDING))),
        "Does the map matter, or only its smaller mean budget?",
        *map(_quoted, verdict.in_short({}, controlled)),
        _differences({low: some[: questions.MAP] for low, some in controlled.items()}),
        _wrapped(
            "Is it more than another constant budget would do? Points of PGD-20 accuracy above "
            "adversarial training's curve of budgets, at the same natural accuracy, by PART's "
            "budget of unimportant pixels; the published code's is 7/255. Four ways to draw the "
            "curve were tried; the one taken comes nearest to adversarial training's own runs, "
            "each held against curves drawn without it, and a height counts where it is larger "
            "than theirs. Both rules were set when the heights had been seen. Where another curve "
            'finds something else, it says "others differ". (In the three steps of training the '
            'form "multiply" comes near the low budget, and not up to it; chapter 7 measures how '
            "near.)"
        ),
        _heights(runs),
    ]
    said = []
    for low, comparisons in {
        "7/255 in float32": verdict.compare(small["fp32"], questions.CLAIM[:1]),
        "4/255 in bfloat16": verdict.compare(small["bf16"], questions.CONTROLS[:2], suffix="-low4"),
    }.items():
        answers = [
            f"{c.name}: {c.row()['natural']} natural, {c.row()['PGD-20']} under PGD-20, {c.finding}"
            for c in comparisons
        ]
        said.append(f"With {low}, {'; '.join(answers)}.")
    (above,) = at_curve.rows(small["bf16"], {"part-low4": "PART"}, curves={"line": {"degree": 1}})
    said.append(
        f"PART above AT's curve, here a line between two budgets: {above['height']}, "
        f"{above['finding']}."
    )
    parts += [
        *_table(photographs, CIFAR10, 3, "The same network on CIFAR-10, six epochs"),
        _quoted(f"Differences in points. {' '.join(said)}"),
        _wrapped(_on_a_gpu()),
    ]
    return "\n\n".join(parts)


def _table(runs: list[dict[str, Any]], rows: dict[str, str], seeds: int, what: str) -> list[str]:
    """A sentence on what is shown, and the table of these labels."""
    lines = ["| training | natural | under PGD-20 at 8/255 |", "| --- | --- | --- |"]
    for label, words in rows.items():
        spreads = [results.over_seeds(runs, label, metric) for metric in ACCURACIES]
        cells = [spread.text() for spread in spreads if spread is not None and spread.n == seeds]
        if len(cells) < len(ACCURACIES):
            raise ValueError(f"runs: {label} with {seeds} seeds is needed, found {spreads}")
        lines.append(f"| {words} | {' | '.join(cells)} |")
    one = next(run for run in runs if run["label"] == "at")
    sizes = f"{one['n_train']:,} training images, {one['n_test']:,} test images"
    how = f"mean and standard deviation over {seeds} seeds, accuracy in percent:"
    return [_wrapped(f"{what}, {sizes}, {how}"), "\n".join(lines)]


def _differences(compared: Mapping[str, Sequence[verdict.Comparison]]) -> str:
    """Comparisons by the budget of unimportant pixels, as a table."""
    lines = ["| budget | | natural | under PGD-20 | |", "| --- | --- | --- | --- | --- |"]
    for low, comparisons in compared.items():
        for c in comparisons:
            row = c.row()
            cells = (low, c.name, row["natural"], row["PGD-20"], c.finding)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _claimed(runs: list[dict[str, Any]]) -> str:
    """What PART changes in AT, TRADES and MART, with masks renewed always and seldom, in one."""
    row = verdict.together(runs, name="").row()
    return (
        "PART at 7/255 around each of AT, TRADES and MART, its masks renewed for every batch or "
        "seldom, minus that method; the six differences averaged in each seed, and 95 % intervals "
        f"over {row['seeds']} seeds: {row['natural']} natural and {row['PGD-20']} under PGD-20."
    )


def _on_a_gpu() -> str:
    """What a ResNet-18 on CIFAR-10 came to, beside the paper's figures for it."""
    runs = results.measured("cifar10", "resnet18")
    published = {row["method"]: row for row in paper.main_table() if row["dataset"] == "CIFAR-10"}
    ran = {name: label for name, label in paper.METHODS.items() if _of(runs, label)}
    seeds = min(len(_of(runs, label)) for label in ran.values())
    made = [run for run in runs if run["label"] in ran.values()]
    epochs = " or ".join(sorted({str(run["config"]["epochs"]) for run in made}))
    devices = ", ".join(sorted({run["device"] for run in made}))
    said = [
        f"{name} {' and '.join(paper.measured(runs, label, metric) for metric in ACCURACIES)} "
        f"(in the paper {' and '.join(f'{published[name][m]:.2f}' for m in ACCURACIES)})"
        for name, label in ran.items()
    ]
    return (
        f"A ResNet-18 on CIFAR-10, {epochs} epochs at a large, falling learning rate ({devices}), "
        f"natural and under PGD-20: {'; '.join(said)}. Of the paper's nine methods the other "
        f"{len(paper.METHODS) - len(ran)} were not run."
        + " One seed each: a difference between two methods shows nothing yet."
        * (seeds == 1)
    )


def _of(runs: list[dict[str, Any]], label: str) -> list[float]:
    return results.values(runs, label, "natural")


def _in_short(runs: list[dict[str, Any]]) -> str:
    """At which of its budgets PART lies above the curve of constant ones, and at which below."""
    return _wrapped(
        "In short, on digits: adversarial training with other constant budgets draws a curve of "
        "natural and robust accuracy. Where does PART lie beside it, by its budget of unimportant "
        f"pixels (7/255 in the published code)? {at_curve.in_short(at_curve.rows(runs, TURNED))}"
    )


def _heights(runs: list[dict[str, Any]]) -> str:
    """How far PART lies above the curve of constant budgets, as a table."""
    lines = [
        "| budget | | above the curve (95 % interval) | above the others | seeds |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {' | '.join(row.values())} |" for row in at_curve.rows(runs, TURNED)),
    ]
    return "\n".join(lines)


def written(readme: str) -> str:
    """The README with that section made anew.

    Raises:
        ValueError: it does not have the two comments between which the section is.
    """
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"readme: {START.strip()!r}, then {END.strip()!r} is needed")
    return f"{before}{start}{measured()}\n\n{end}{after}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def _quoted(text: str) -> str:
    return textwrap.indent(_wrapped(text), "> ")


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
