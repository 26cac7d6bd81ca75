"""Results: one JSON file a run, with all that is needed to run it again."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy import stats


def read(folder: Path | str) -> list[dict[str, Any]]:
    """All runs below a folder, in the order of their paths; other JSON files are left out.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: a file is no JSON.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"folder: no results at {folder}")
    found = [_read_json(path) for path in sorted(folder.rglob("*.json"))]
    return [each for each in found if isinstance(each, dict) and "label" in each]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"folder: {path} is no JSON ({error})") from error


def folder(*parts: str) -> Path:
    """A folder of the results that came with the book; it need not exist.

    In an installed copy they lie inside the library, in a checkout beside it.
    """
    here = Path(__file__).resolve().parent
    inside = here / "measured"
    return (inside if inside.is_dir() else here.parent / "results").joinpath(*parts)


def measured(data: str, network: str) -> list[dict[str, Any]]:
    """The runs that came with the book for a data set and a network; none is an empty list."""
    where = folder(data, network)
    return read(where) if where.is_dir() else []


def trained_in(runs: Iterable[dict[str, Any]], precision: str) -> list[dict[str, Any]]:
    """The runs that were trained in one precision, each under the label of its method alone.

    What was trained in float32 where "auto" would be bfloat16 mostly has a label that ends in
    "-fp32". Here that ending is taken off, so one label is one method in both precisions.

    Args:
        runs: records, as `read` gives them.
        precision: "fp32" or "bf16".

    Raises:
        ValueError: another precision.
    """
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision: 'fp32' or 'bf16' is needed, found {precision!r}")
    return [
        run | {"label": run["label"].removesuffix("-fp32")}
        for run in runs
        if run["precision"] == precision
    ]


def values(runs: Iterable[dict[str, Any]], label: str, metric: str) -> list[float]:
    """A metric of all runs of a label that measured it, in the order of their seeds.

    Args:
        runs: records, as `read` gives them.
        label: which runs.
        metric: a key of their metrics, such as "pgd20"; "aa" is also "aa@64", AutoAttack
            on the first 64 test images alone, see `images`.

    Raises:
        ValueError: as `by_seed`.
    """
    return list(by_seed(runs, label, metric).values())


def by_seed(runs: Iterable[dict[str, Any]], label: str, metric: str) -> dict[int, float]:
    """A metric of all runs of a label that measured it, by seed, in the order of the seeds.

    Args:
        runs: records, as `read` gives them.
        label: which runs.
        metric: as for `values`.

    Raises:
        ValueError: two runs of one seed, or not all on as many images.
    """
    runs = [run for run in runs if run["label"] == label]
    images(runs, metric)
    found: dict[int, float] = {}
    for run in runs:
        if (name := _name(run, metric)) is not None:
            if run["seed"] in found:
                raise ValueError(f"runs: two of {label!r} have seed {run['seed']}")
            found[run["seed"]] = run["metrics"][name]
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class Spread:
    """A mean over seeds and how sure it is.

    Attributes:
        mean: the mean.
        sd: the standard deviation, with n - 1; NaN for one seed.
        n: how many seeds.
        low: lower end of the 95 % interval of the mean (Student's t); NaN for one seed.
        high: upper end.
    """

    mean: float
    sd: float
    n: int
    low: float
    high: float

    def text(self, *, digits: int = 1) -> str:
        """Mean and standard deviation, as tables show them."""
        mean, sd = (f"{value:.{digits}f}" for value in (self.mean, self.sd))
        return f"{mean} ± {sd}" if self.n > 1 else mean

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies above or below zero, else 0.

        Equal numbers have an interval without width, which says that there are few of them, or
        few images, and not that others would be the same; so their sign is 0.
        """
        return 0 if self.equal else 1 if self.low > 0 else -1 if self.high < 0 else 0

    @property
    def equal(self) -> bool:
        """Whether all numbers are the same, but for rounding."""
        return self.sd < 1e-9

    def interval(self) -> str:
        """A difference and its 95 % interval, as tables show them."""
        mean = _signed(self.mean)
        return mean if self.n < 2 else f"{mean} ({_end(self.low)} to {_end(self.high)})"

    def sentence(self) -> str:
        """A difference in words, called an effect only where the interval leaves zero out."""
        if self.n < 2:
            return f"{self.mean:+.2f} points in one seed, which says nothing of the spread."
        text = f"{self.mean:+.2f} ± {self.sd:.2f} points over {self.n} seeds"
        if self.equal:
            return f"{text}, the same in each: not shown to differ."
        text += f" (95 % interval {_end(self.low)} to {_end(self.high)}, which"
        if self.sign:
            return f"{text} leaves zero out): {'higher' if self.mean > 0 else 'lower'}."
        return f"{text} holds zero): not shown to differ."


def spread(numbers: Sequence[float]) -> Spread:
    """Mean, standard deviation and 95 % interval of some numbers.

    Raises:
        ValueError: there are none, or one is not finite.
    """
    if not numbers:
        raise ValueError("numbers: at least one is needed, found none")
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"numbers: finite ones are needed, found {list(numbers)!r}")
    n = len(numbers)
    mean = statistics.fmean(numbers)
    if n == 1:
        return Spread(mean, math.nan, 1, math.nan, math.nan)
    sd = statistics.stdev(numbers)
    half = float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n)
    return Spread(mean, sd, n, mean - half, mean + half)


def over_seeds(runs: Iterable[dict[str, Any]], label: str, metric: str) -> Spread | None:
    """The spread of a metric over the seeds of a label; None where it was not run.

    Args:
        runs: records, as `read` gives them.
        label: which runs.
        metric: a key of their metrics, such as "pgd20".

    Raises:
        ValueError: as `by_seed`.
    """
    numbers = values(runs, label, metric)
    return spread(numbers) if numbers else None


def differences(runs: Iterable[dict[str, Any]], label: str, base: str, metric: str) -> list[float]:
    """A label's metric minus a base's, seed by seed; empty without a common seed.

    Args:
        runs: records, as `read` gives them.
        label: which runs.
        base: the runs to compare with.
        metric: a key of their metrics, such as "pgd20".

    Raises:
        ValueError: as `by_seed`, or not all of both were measured on as many images.
    """
    runs = [run for run in runs if run["label"] in (label, base)]
    images(runs, metric)
    ours, theirs = by_seed(runs, label, metric), by_seed(runs, base, metric)
    return [ours[seed] - theirs[seed] for seed in ours if seed in theirs]


def paired(runs: Iterable[dict[str, Any]], label: str, base: str, metric: str) -> Spread | None:
    """The spread of `differences`; None without a common seed.

    Args:
        runs: records, as `read` gives them.
        label: which runs.
        base: the runs to compare with.
        metric: a key of their metrics, such as "pgd20".

    Raises:
        ValueError: as `differences`.
    """
    both = differences(runs, label, base, metric)
    return spread(both) if both else None


def images(runs: Iterable[dict[str, Any]], metric: str) -> int | None:
    """On how many test images runs measured a metric; None where none did.

    Raises:
        ValueError: not all on as many.
    """
    found = set()
    for run in runs:
        name = _name(run, metric)
        if name is not None:
            _, _, first = name.partition("@")
            found.add(int(first) if first else run["n_test"])
    if len(found) > 1:
        raise ValueError(f"runs: {metric} on one number of images is needed, found {sorted(found)}")
    return found.pop() if found else None


def _name(run: dict[str, Any], metric: str) -> str | None:
    """The metric as the run has it: on all test images, or else on the first, as "aa@64"."""
    if metric in run["metrics"]:
        return metric
    return next((name for name in run["metrics"] if name.startswith(f"{metric}@")), None)


def _signed(value: float, digits: int = 2) -> str:
    """A difference as text; what rounds to nothing is +0.00, never -0.00."""
    return f"{round(value, digits) + 0:+.{digits}f}"


def _end(value: float) -> str:
    """The end of an interval as text, with more digits where two would hide its sign."""
    return _signed(value, 4 if 5e-5 <= abs(value) < 0.005 else 2)
