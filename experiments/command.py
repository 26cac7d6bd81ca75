"""The command line of a grid of runs: all that is missing, one run, or a list."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from experiments.children import Children
from experiments.grids import Grid
from experiments.limits import TimeUp, fits
from experiments.measurements import KEYS, can_measure
from experiments.plans import ROOT, Plan


def seconds(text: str) -> float:
    """A stretch of time such as "9m", "90s" or "2h" in seconds.

    Raises:
        ValueError: another form.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if match is None:
        raise ValueError(f'budget: a time such as "9m" is needed, found {text!r}')
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def _seconds(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def command(grid: Grid, groups: Sequence[Mapping[str, Plan]]) -> None:
    """The command line of a grid.

    Args:
        grid: where and how.
        groups: labels and their plans, in the order in which they are run, seed by seed within a
            group, so that labels keep pace. A group may need results of those before it, and
            measure more of a label of theirs.
    """

    def main(
        label: Annotated[str | None, typer.Argument(help="One label; without it all.")] = None,
        seed: Annotated[int | None, typer.Option(help="Its seed [default: 0].", min=0)] = None,
        group: Annotated[int, typer.Option(help="Measure what this group does.")] = -1,
        budget: Annotated[
            str | None,
            typer.Option(help="Stop after so long, such as 9m, and train nothing twice."),
        ] = None,
        jobs: Annotated[int, typer.Option(help="Of all: so many processes.", min=1)] = 1,
        threads: Annotated[
            int | None,
            typer.Option(help="Of the processor, instead of the grid's; gives other bits.", min=1),
        ] = None,
        only: Annotated[
            str | None, typer.Option(help=f"Measure one kind alone: {', '.join(KEYS)}.")
        ] = None,
        show: Annotated[bool, typer.Option("--list", help="Only say what is missing.")] = False,
        until: Annotated[float, typer.Option(hidden=True)] = math.inf,  # since the epoch
        beside: Annotated[int, typer.Option(hidden=True)] = 1,
    ) -> None:
        if budget is not None:
            until = time.time() + _seconds(budget)
        if label is not None:
            found = [i for i, plans in enumerate(groups) if label in plans]
            if not found:
                known = ", ".join(dict.fromkeys(name for plans in groups for name in plans))
                raise typer.BadParameter(f"one of {known} is needed, found {label!r}")
            if group >= 0 and group not in found:
                raise typer.BadParameter(f"group: one of {found} has {label}, found {group}")
        if label is None and (seed is not None or group >= 0):
            raise typer.BadParameter("seed and group: a label is needed for them, found none")
        if only is not None and only not in KEYS:
            raise typer.BadParameter(f"only: one of {', '.join(KEYS)} is needed, found {only!r}")
        if label is not None and not show:
            what, seed = groups[found[-1] if group < 0 else group][label], seed or 0
            if seed >= what.seeds:
                raise typer.BadParameter(f"seed: {label} has {what.seeds}, from 0, found {seed}")
            try:
                grid.measure(
                    label, what, seed, until=until, threads=threads, beside=beside, only=only
                )
            except TimeUp as why:
                after = f" ({why})" if str(why) else ""
                print(f"{label} seed {seed}: stopped{after}; the same command goes on")
            except (ValueError, OSError, FloatingPointError, ImportError) as error:
                print(f"{label} seed {seed}: {error}", file=sys.stderr)
                raise typer.Exit(1) from None
            return
        children, one_seed = Children(), seed
        started: list[str] = []
        failed: list[str] = []

        def one(job: tuple[int, str, int]) -> None:
            _, label, seed = job
            name = f"{label} --seed {seed}"
            if name in failed:
                return
            # The first is given its chance, or a run of long epochs would never get on.
            needs = grid.epoch_seconds(label, seed) if started else 0.0
            if not fits(until, needs):
                return
            started.append(name)
            print(name, flush=True)
            which = "--group {} {} --seed {}".format(*job)
            call = f"-m experiments.{grid.module} {which}"
            if budget is not None:
                call += f" --until {until}"
            call += f" --threads {threads}" if threads else ""
            call += f" --beside {jobs}" if jobs > 1 else ""
            call += f" --only {only}" if only else ""
            if children.run([sys.executable, *call.split()], cwd=ROOT):
                failed.append(name)

        for i, plans in enumerate(groups):
            todo = [
                (i, name, seed)
                for seed in range(max(what.seeds for what in plans.values()))
                for name, what in plans.items()
                if label in (None, name)
                and group in (-1, i)
                and one_seed in (None, seed)
                and seed < what.seeds
                and any(
                    only in (None, kind) and (show or can_measure(kind, which))
                    for kind, which in grid.missing(name, what, seed)
                )
                and (show or budget is None or not grid.lost(name, seed))
            ]
            if show:
                print(*(f"{name} --seed {seed}\n" for _, name, seed in todo), sep="", end="")
                continue
            with children, ThreadPoolExecutor(jobs) as pool:
                list(pool.map(one, todo))
        if failed:
            print("failed:", *dict.fromkeys(failed), sep="\n", file=sys.stderr)
            raise typer.Exit(1)

    typer.run(main)
