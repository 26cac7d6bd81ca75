"""Write what is measured into the README, from the results.

    python -m tools.readme

It says what each of the two budgets of PART does beside adversarial training, and what the controls
say of the map.
"""

import textwrap

from partlib import results, verdict
from tools.notebooks import ROOT

README = ROOT / "README.md"
START = "<!-- Made of the results by `python -m tools.readme` -->\n\n"
END = "<!-- End of what is made -->\n"
SEEDS = 5
ROWS = {
    "natural": "natural training",
    "at": "adversarial training, 8/255 everywhere",
    "part": "PART, 7/255 on unimportant pixels",
    "part-low4": "PART, 4/255 on unimportant pixels",
}
LOW = {"": "7/255", "-low4": "4/255"}
"""Ends of the labels of PART and its controls, and the budget of unimportant pixels there."""
ACCURACIES = {"natural": "natural", "pgd20": "PGD-20"}


def measured() -> str:
    """The README's section of results, as text in Markdown.

    Raises:
        ValueError: a row of its table has not been run with all five seeds.
    """
    runs = results.measured("scene-digits", "small")
    lines = ["| training | natural | under PGD-20 at 8/255 |", "| --- | --- | --- |"]
    for label, words in ROWS.items():
        spreads = [results.over_seeds(runs, label, metric) for metric in ACCURACIES]
        cells = [spread.text() for spread in spreads if spread is not None and spread.n == SEEDS]
        if len(cells) < len(ACCURACIES):
            raise ValueError(f"runs: {label} with {SEEDS} seeds is needed, found {spreads}")
        lines.append(f"| {words} | {' | '.join(cells)} |")
    one = next(run for run in runs if run["label"] == "at")
    parts = [
        _wrapped(
            f"Handwritten digits on photographs, {one['n_train']:,} training images, "
            f"{one['n_test']:,} test images, a network of 175,000 parameters, mean and "
            f"standard deviation over {SEEDS} seeds, accuracy in percent:"
        ),
        "\n".join(lines),
        "PART minus adversarial training, seed by seed:",
        "\n".join(
            _wrapped(f"- {low}, {words}: {difference.sentence()}", "  ")
            for suffix, low in LOW.items()
            for metric, words in ACCURACIES.items()
            if (difference := results.paired(runs, f"part{suffix}", "at", metric))
        ),
    ]
    for suffix, low in reversed(LOW.items()):
        intro = f"With {low}:"
        if suffix:
            intro = (
                "Does the map matter, or only its smaller mean budget? With "
                f"{low} on unimportant pixels:"
            )
        parts += [intro, _quoted(verdict.on_the_map(verdict.compare(runs, suffix=suffix)))]
        if above := verdict.above_curve(runs, f"part{suffix}"):
            height = (
                "PGD-20 accuracy above adversarial training's curve of budgets, at the same "
                f"natural accuracy: {above.sentence()}"
            )
            parts[-1] += f"\n>\n{_quoted(height)}"
    return "\n\n".join(parts)


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


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _quoted(text: str) -> str:
    return textwrap.indent(_wrapped(text), "> ")


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
