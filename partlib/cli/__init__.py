"""The command line: `python -m partlib`."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from partlib import checkpoints, corruptions, data, doctor, evaluation, runs
from partlib.cli import datasets, image
from partlib.recipes import BASES, METHODS, recipe
from partlib.scale import SCALES
from partlib.training import processes

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # which would read [default: ...] as a style
    help="Adversarial robustness to learn from: train, evaluate, attack, look at data and machine.",
)
app.command()(image.attack)
app.command()(image.cam)
app.command(name="data")(datasets.data_command)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@app.command()
def train(
    dataset: Annotated[str, typer.Argument(help=f"One of {', '.join(data.NAMES)}.")],
    method: Annotated[str, typer.Argument(help=f"One of {', '.join(METHODS)}.")],
    model: Annotated[str, typer.Option(help="The network, such as small or resnet18.")] = "small",
    paper: Annotated[bool, typer.Option(help="The paper's settings.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's epochs.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and attacks.")] = 0,
    base: Annotated[
        str | None, typer.Option(help=f"PART: one of {', '.join(BASES)} [default: at].")
    ] = None,
    eps_low: Annotated[
        float | None, typer.Option(help="PART: budget of unimportant pixels, in 1/255.")
    ] = None,
    refresh: Annotated[
        int | None,
        typer.Option(
            help="PART: the paper's s, epochs that share one network's maps; above 1 they begin "
            "after a quarter of the epochs, unless the recipe says when."
        ),
    ] = None,
    n_train: Annotated[int | None, typer.Option(help="Train on so many images.")] = None,
    n_test: Annotated[int | None, typer.Option(help="Evaluate on so many images.")] = None,
    n_val: Annotated[
        int, typer.Option(help="End with the epoch that is best on so many images held out.")
    ] = 0,
    patience: Annotated[
        int, typer.Option(help="With --n-val: stop after so many epochs without a better one.")
    ] = 0,
    compile: Annotated[bool, typer.Option(help="Through torch.compile, for long runs.")] = False,
    max_batches: Annotated[
        int | None,
        typer.Option(
            help="Try a set-up out: so many batches an epoch, one epoch unless --epochs is given."
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Instead of the recipe's; smaller takes less memory.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Of the processor; another number gives other bits.", min=1),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="The folder with the data set.")] = None,
    verify: Annotated[
        bool, typer.Option(help="Whether the data set must be the published one, not a cut.")
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write to [default: runs/DATASET-MODEL-LABEL-seedSEED]."),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="What the result calls the run [default: of the method].")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="A file to write the result to as well.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a network, evaluate it, and write weights and result.json; a cut-off run resumes.

    For example:

    python -m partlib train scene-digits at

    python -m partlib train cifar10 part --model small --epochs 1

    python -m partlib train scene-digits part --base trades

    python -m partlib train cifar10 part --model resnet18 --eps-low 7 --refresh 10

    python -m partlib train tiny-imagenet part --model wrn-34-10 --max-batches 2 --no-verify

    torchrun --nproc-per-node=4 -m partlib train cifar10 at --model resnet18 --n-val 1000
    """
    if threads is not None:
        torch.set_num_threads(threads)
    chosen = recipe(f"{dataset}/{model}" + ("/paper" if paper else "")).with_config(
        seed=seed, patience=patience, compile=compile
    )
    if max_batches is not None and epochs is None:
        epochs = 1
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if value is not None:
            chosen = chosen.with_config(**{name: value})
    extra: dict[str, Any] = {}
    if base is not None:
        extra["base"] = base
    if eps_low is not None:
        extra["eps_low"] = image.of_255("eps_low", eps_low)
    if refresh is not None:
        extra["refresh"] = refresh
        if refresh > 1 and not chosen.warmup:  # else the first maps are of an untrained network
            extra["warmup"] = chosen.config.epochs // 4
    if record is not None and record.exists():
        raise typer.BadParameter(f"a file that is not there yet is needed, found {record}")
    made = chosen.method(method, **extra)
    if record is not None:
        checkpoints.check_writable(record, name="record")
    if label is None:
        label = made.name
        label += "" if eps_low is None else f"-low{eps_low:g}"
        label += "" if refresh is None else f"-s{refresh}"
    tried = "-try" * (max_batches is not None)  # else it would be in the way of the run
    folder = out or Path("runs") / f"{dataset}-{model}-{label}-seed{seed}{tried}"
    with processes.started():
        found = runs.run(
            chosen,
            made,
            folder=folder,
            label=label,
            command=processes.command() + shlex.join(sys.argv[1:]),
            n_train=n_train,
            n_test=n_test,
            n_val=n_val,
            max_batches=max_batches,
            root=root,
            verify=verify,
        )
        if processes.rank():
            return
    if record is not None:
        checkpoints.write_json(record, found)
    if as_json:
        print(json.dumps(found))
        return
    for name, value in found["metrics"].items():
        print(f"{name:10} {value:6.2f} %  of {found['n_test']} test images")
    if found["note"]:
        print(f"{'data':10} {found['note']}")
    for where, mib in found["peak_memory_mib"].items():
        print(f"{'memory':10} {mib:,} MiB at most ({where})")
    print(f"{found['seconds']['train']:.0f} s of training; written to {folder}/")


@app.command()
def evaluate(
    model: Annotated[
        str,
        typer.Argument(help="A network of the zoo (at, part, cifar10-at, ...), or a run's folder."),
    ],
    attack: Annotated[
        list[str] | None, typer.Option(help="natural, fgsm, pgd20, mma, aa; may be repeated.")
    ] = None,
    eps: Annotated[float, typer.Option(help="The budget in 1/255.")] = 8,
    with_corruptions: Annotated[
        bool, typer.Option("--corruptions", help="The 19 of CIFAR-10-C too, generated.")
    ] = False,
    n_test: Annotated[int, typer.Option(help="How many test images.")] = 500,
    root: Annotated[Path | None, typer.Option(help="The folder with the data set.")] = None,
    verify: Annotated[
        bool, typer.Option(help="Whether the data set must be the published one, not a cut.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Measure a network of the zoo or of a run.

    For example:

    python -m partlib evaluate at --attack natural --attack pgd50 --eps 4

    python -m partlib evaluate runs/cifar10-small-at-seed0 --corruptions --n-test 1000
    """
    net, about = runs.model_named(model)
    net = net.to(runs.best_device())
    test_set = data.load(about["data"], "test", n=n_test, root=root, verify=verify)
    found = evaluation.evaluate(
        net,
        test_set,
        attack or ["natural", "pgd20"],
        eps=image.of_255("eps", eps),
        corruptions=corruptions.NAMES if with_corruptions else (),
        progress=True,
    )
    if as_json:
        print(json.dumps(found))
        return
    width = max(10, *map(len, found))
    for name, value in found.items():
        kind, _, first = name.partition("@")
        how = f" at eps {eps:g}/255"
        if kind == "natural":
            how = ""
        elif name.startswith("corruption/"):
            how = " mean of 5 severities"
        print(f"{name:{width}} {value:6.2f} %  of {first or n_test} test images{how}")


@app.command(name="doctor")
def doctor_command(
    probe: Annotated[bool, typer.Option(help="Time a few training steps.")] = True,
    as_json: Json = False,
) -> None:
    """Say what this machine has and what each scale of the book will take on it."""
    found = doctor.report(probe=probe and as_json)
    if as_json:
        print(json.dumps(found))
        return
    for key in ("system", "device", "threads", "precision", "data_root"):
        print(f"{key.replace('_', ' '):12} {found[key]}")
    print(f"{'versions':12} " + ", ".join(f"{k} {v}" for k, v in found["versions"].items()))
    for name, where in found["data"].items():
        print(f"{'data':12} {name}: {where}")
    if not probe:
        return
    device = runs.best_device()
    for name, one in SCALES.items():  # as they are timed, below what is known at once
        said = "for a GPU: without one a training would take days"
        if name in doctor.fitting(device):
            took = round(doctor.minutes(one.recipe, device), 1)
            said = f"about {took:g} minutes to train a network by AT"
        print(f"{'SCALE=' + name:12} {said}", flush=True)


def main() -> None:
    """Run the command line; what a user can mend is said in one line, without a traceback."""
    try:
        app()
    except (ValueError, OSError, FloatingPointError, ImportError) as error:
        print(f"partlib: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == 130:  # Ctrl-C, by way of typer
            goes_on = "; the same command goes on from the last epoch" * (sys.argv[1] == "train")
            print(f"partlib: stopped{goes_on}", file=sys.stderr)
        raise
