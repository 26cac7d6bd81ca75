"""Write what is measured into the README, from the results.

    python -m tools.readme

It says in short what chapters 8 and 9 say in full.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from partlib import at_curve, paper, questions, results, verdict
from partlib.verdict import Comparison
from tools.notebooks import ROOT

README = ROOT / "README.md"
START = "<!-- Made of the results by `python -m tools.readme` -->\n\n"
END = "<!-- End of what is made -->\n"
ROWS = {
    "natural": "natural training",
    "at": "AT",
    "part": "PART, 7/255 elsewhere, as in the published code",
    "part-low4": "PART, 4/255 elsewhere",
}
SEEDS = 5
LOW = {"": "7/255", "-low4": "4/255"}
"""End of the labels of PART and its controls, and their budget of unimportant pixels."""
TURNED = {f"part-low{k}": f"{k}/255" for k in (0, 2, 4, 6)} | {"part": "7/255"}
"""PART by its budget of unimportant pixels."""
ACCURACIES = {"natural": "natural", "pgd20": "PGD-20"}


def measured() -> str:
    """The README's section of results, as text in Markdown.

    Raises:
        ValueError: a row of its table has not been run with all seeds.
    """
    every = results.measured("scene-digits", "small")
    runs, older = (results.trained_in(every, precision) for precision in ("fp32", "bf16"))
    claimed, before = (
        {low: verdict.compare(of, questions.CLAIM[:1], suffix=end)[0] for end, low in LOW.items()}
        for of in (runs, older)
    )
    controlled = {low: verdict.compare(runs, suffix=end) for end, low in LOW.items()}
    one = next(run for run in runs if run["label"] == "at")
    together = verdict.together(runs, name="").row()
    heights = at_curve.rows(runs, TURNED)
    least, *_, most = sorted((row["seeds"] for row in heights), key=int)
    return "\n\n".join(
        [
            _wrapped(
                "PART gives the pixels that the network looks at a budget of 8/255, and all others "
                "less; adversarial training (AT) gives every pixel 8/255. Here on handwritten "
                "digits on photographs, with a network of 175,000 parameters trained in float32, "
                f"{one['n_train']:,} training images, {one['n_test']:,} test images and {SEEDS} "
                "seeds: accuracy in percent with its standard deviation, and differences in "
                "points, seed by seed, with 95 % intervals."
            ),
            _table(runs, claimed),
            "\n".join(
                [
                    _answer(
                        "Does PART change AT?",
                        f"{_found(claimed)}. The same seeds trained in bfloat16: "
                        f"{_found(before)}. (*Traded* is one accuracy higher and the other lower, "
                        "*open* is one whose interval is too wide to say that it held.)",
                    ),
                    _answer(
                        "Does it change TRADES and MART, too?",
                        "PART at 7/255 around each of the three methods, its masks renewed for "
                        f"every batch or seldom, the six averaged: {together['natural']} natural, "
                        f"{together['PGD-20']} under PGD-20.",
                    ),
                    _answer(
                        "Does the map matter, or only its smaller mean budget?",
                        f"{'; '.join(f'at {low} {_said(c)}' for low, c in controlled.items())}.",
                    ),
                    _answer(
                        "Is it more than AT with another constant budget would do?",
                        "AT at many budgets draws a curve of natural and robust accuracy. Beside "
                        "it lies PART, by its budget of unimportant pixels "
                        f"({least} to {most} seeds): {at_curve.in_short(heights)} (*Others "
                        "differ* where another way to draw the curve finds something else.)",
                    ),
                ]
            ),
            _wrapped(f"{_on_cifar10()} {_on_a_gpu()}"),
            _wrapped(
                "[Chapter 8](notebooks/08-results.ipynb) has the paper's tables beside ours, and "
                "what rounding alone does; [chapter 9](notebooks/09-reading-critically.ipynb) "
                "every control, the curve, and which rules were set when the results were known."
            ),
        ]
    )


def _table(runs: list[dict[str, Any]], claimed: Mapping[str, Comparison]) -> str:
    """Accuracies of the methods, and below them what PART changes in AT."""
    lines = ["| training | natural | under PGD-20 at 8/255 |", "| --- | --- | --- |"]
    for label, words in ROWS.items():
        spreads = [results.over_seeds(runs, label, metric) for metric in ACCURACIES]
        cells = [spread.text() for spread in spreads if spread is not None and spread.n == SEEDS]
        if len(cells) < len(ACCURACIES):
            raise ValueError(f"runs: {label} with {SEEDS} seeds is needed, found {spreads}")
        lines.append(f"| {words} | {' | '.join(cells)} |")
    for low, c in claimed.items():
        cells = [c.row()[accuracy] for accuracy in ACCURACIES.values()]
        lines.append(f"| PART at {low} minus AT | {' | '.join(cells)} |")
    return "\n".join(lines)


def _found(comparisons: Mapping[str, Comparison]) -> str:
    """What each comparison came to, by the budget of unimportant pixels."""
    return ", ".join(f"at {low} *{c.finding}*" for low, c in comparisons.items())


def _said(comparisons: Sequence[Comparison]) -> str:
    """What the controls say, in the words that a verdict has in bold."""
    words = verdict.on_the_map(comparisons).split("**")[1]
    return f"*{words[0].lower()}{words[1:]}*"


def _on_cifar10() -> str:
    """What PART changes in AT with the small network on CIFAR-10."""
    runs = results.trained_in(results.measured("cifar10", "small"), "fp32")
    (c,) = verdict.compare(runs, questions.CLAIM[:1])
    row = c.row()
    return (
        f"The same network on CIFAR-10, {row['seeds']} seeds, PART at 7/255 minus AT: "
        f"{row['natural']} natural, {row['PGD-20']} under PGD-20, *{c.finding}*."
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
        f"A ResNet-18 there, {epochs} epochs at a large, falling learning rate ({devices}), "
        f"natural and under PGD-20: {'; '.join(said)}. Of the paper's nine methods the other "
        f"{len(paper.METHODS) - len(ran)} were not run."
        + " One seed each: a difference between two methods shows nothing yet."
        * (seeds == 1)
    )


def _of(runs: list[dict[str, Any]], label: str) -> list[float]:
    return results.values(runs, label, "natural")


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


def _wrapped(text: str, **settings: Any) -> str:
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False, **settings)


def _answer(question: str, answer: str) -> str:
    """A question and its answer, as an item of a list."""
    said = f"- **{question}** {answer[0].upper()}{answer[1:]}"
    return _wrapped(said, subsequent_indent="  ")


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
