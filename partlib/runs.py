"""A run: a recipe trained with one seed, evaluated, and written down as one JSON file."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from partlib import checkpoints, data, environment, evaluation, models, training, zoo
from partlib.data import ImageSet
from partlib.methods import Method
from partlib.models import Classifier
from partlib.recipes import Recipe
from partlib.training import processes

EVAL_ATTACKS = ("natural", "pgd20")


def run(
    recipe: Recipe,
    method: Method,
    *,
    folder: str | Path,
    label: str | None = None,
    command: str = "",
    device: torch.device | None = None,
    attacks: Sequence[str] = EVAL_ATTACKS,
    n_train: int | None = None,
    n_test: int | None = None,
    n_val: int = 0,
    max_batches: int | None = None,
    root: str | Path | None = None,
    verify: bool = True,
    progress: bool = True,
    on_epoch: training.OnEpoch | None = None,
) -> dict[str, Any]:
    """Train, evaluate and record one run.

    Writes into `folder`: `checkpoint.safetensors` after every epoch, which a run that was cut off
    goes on from, and at the end `weights.safetensors` and `result.json`. Of several processes, see
    `training.fit`, the first evaluates and writes.

    Args:
        recipe: data set, network and configuration; its seed is the run's seed.
        method: how to train.
        folder: where to write. A finished run there is not trained again: it is evaluated, which
            replaces the metrics that it had; its record keeps by what it was trained, and says by
            what it was evaluated.
        label: what runs that differ only in their seed are called; None is the method's name.
        command: the command that makes this run again, for the record.
        device: where to run; None is the GPU if there is one, else the CPU.
        attacks: what to evaluate, see `evaluation.evaluate`.
        n_train: images to train on; None is all.
        n_test: images to evaluate on; None is all.
        n_val: images to choose the best epoch on: of the set's "val" split if it has one, else held
            out from those to train on. 0 takes the last epoch.
        max_batches: batches an epoch, and of evaluation unless `n_test` is given, to try a
            set-up out.
        root: where data sets are, see `data.load`.
        verify: whether they must be the published ones, see `data.load`.
        progress: whether to show bars.
        on_epoch: called after each epoch, see `training.fit`.

    Returns:
        The record that was written; empty in all processes but the first.
    """
    device, folder = device or best_device(), Path(folder)
    made_by = environment.describe(device)  # before anyone changes the code beside the run
    train_set = data.load(recipe.data, "train", n=n_train, root=root, verify=verify)
    train_set, val_set = _validation(train_set, n_val)
    test_set = data.load(recipe.data, "test", n=n_test, root=root, verify=verify)
    if max_batches is not None and n_test is None:
        test_set = test_set[: max_batches * recipe.config.batch_size]
    classes = len(train_set.class_names)
    model = models.build(recipe.network, classes, seed=recipe.config.seed).to(device)
    checkpoints.check_writable(folder / "result.json", name="folder")
    evaluation.attacks_named(attacks, eps=8 / 255, size=len(test_set))  # not after the training
    resumed = (folder / "checkpoint.safetensors").exists()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    start, work = time.perf_counter(), time.process_time()
    history = training.fit(
        model,
        train_set,
        method,
        recipe.config,
        val_set=val_set,
        checkpoint=folder / "checkpoint.safetensors",
        progress=progress,
        on_epoch=on_epoch,
        max_batches=max_batches,
    )
    if processes.rank():
        return {}
    trained, work = time.perf_counter(), time.process_time() - work
    memory = peak_memory_mib(device)
    metrics = evaluation.evaluate(model, test_set, attacks, progress=progress)
    record = {
        "label": label or method.name,
        "command": command,
        "data": recipe.data,
        "network": recipe.network,
        "num_classes": classes,
        "n_train": len(train_set),
        "n_test": len(test_set),
        "max_batches": max_batches,
        "note": train_set.note or test_set.note,
        "seed": recipe.config.seed,
        "method": dict(method.settings),
        "config": recipe.config.record(),
        **made_by,
        "precision": "bf16" if training.uses_bf16(device, recipe.config.precision) else "fp32",
        "seconds": {
            "train": round(sum(row["seconds"] for row in history), 1),
            # Of all cores together; unlike the clock it does not count what others do on them.
            **({} if resumed else {"train_cpu": round(work, 1)}),
            "evaluate": round(time.perf_counter() - trained, 1),
            "this_process": round(time.perf_counter() - start, 1),
        },
        "peak_memory_mib": memory,
        "metrics": {name: round(value, 4) for name, value in metrics.items()},
        "history": history,
        **({"n_val": n_val, "best_epoch": training.best_epoch(history)} if n_val else {}),
        **({"first": n_train} if n_train is not None else {}),  # images, and not the whole set
        **({"resumed": True} if resumed else {}),  # threads and device are those of its end
        **({"processes": processes.size()} if processes.size() > 1 else {}),
        "weights_sha256": checkpoints.weights_sha256(model),
    }
    weights, result = folder / "weights.safetensors", folder / "result.json"
    record = _trained_by(result, record)
    for path in (weights, result):
        checkpoints.sweep(path)
    checkpoints.save_weights(model, weights)
    checkpoints.write_json(result, record)
    return record


TRAINED_BY = (
    "command",
    "commit",
    "versions",
    "device",
    "threads",
    "precision",
    "peak_memory_mib",
    "resumed",
)


def _trained_by(result: Path, record: dict[str, Any]) -> dict[str, Any]:
    """A record, which keeps of the one that is there how its weights came about, if it has them.

    Raises:
        ValueError: the file is no record.
    """
    if not (result.exists() and record.get("resumed")):
        return record
    before = _read(result)
    if before["weights_sha256"] != record["weights_sha256"]:
        return record
    kept = {key: before[key] for key in TRAINED_BY if key in before}
    now = {key: record["seconds"][key] for key in ("evaluate", "this_process")}
    kept["seconds"] = before["seconds"] | now
    by = {key: record[key] for key in ("command", "commit", "device")}
    evaluated = [{**by, "measured": list(record["metrics"])}]
    rest = {key: value for key, value in record.items() if key not in TRAINED_BY}
    return rest | kept | {"evaluated": evaluated}


def _read(result: Path) -> dict[str, Any]:
    """The record in a file.

    Raises:
        ValueError: the file is no record.
    """
    try:
        record: dict[str, Any] = json.loads(result.read_text())
        for key in ("label", "num_classes", "seconds", "weights_sha256"):
            record[key]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"folder: {result} is no record of a run ({error!r})") from error
    return record


def train_or_load(
    recipe: Recipe, method: Method, *, folder: str | Path, root: str | Path | None = None
) -> Classifier:
    """The network of a run, trained only if `folder` does not hold it already.

    Args:
        recipe: data set, network and configuration.
        method: how to train.
        folder: where the run is, or is written.
        root: where data sets are, see `data.load`.

    Raises:
        ValueError: `folder` holds another run, a damaged record, or weights that are not its own.
    """
    device, folder = best_device(), Path(folder)
    done = folder / "result.json"
    if done.exists():
        found = _read(done)
        wanted = {
            "data": recipe.data,
            "network": recipe.network,
            "max_batches": None,
            "n_val": None,
            "first": None,
            "method": dict(method.settings),
            "config": recipe.config.record(),
        }
        if {key: found.get(key) for key in wanted} != wanted:
            raise ValueError(f"folder: {folder} holds another run, {found['label']!r}")
    else:
        found = run(recipe, method, folder=folder, root=root)
    model = models.build(recipe.network, found["num_classes"], seed=0)
    checkpoints.load_weights(model, folder / "weights.safetensors")
    if checkpoints.weights_sha256(model) != found["weights_sha256"]:
        raise ValueError(f"folder: the weights in {folder} are not those of its result.json")
    return model.to(device).eval()


def _validation(train_set: ImageSet, n_val: int) -> tuple[ImageSet, ImageSet | None]:
    """What is trained on, and what epochs are chosen on, the same for every seed of a run."""
    if n_val == 0:
        return train_set, None
    if "val" in data.NAMES[train_set.name]:
        return train_set, data.load(train_set.name, "val", n=n_val)
    return data.hold_out(train_set, n_val)


def model_named(name: str) -> tuple[Classifier, dict[str, Any]]:
    """A trained network, on the CPU and in eval mode, and the record of its run.

    Args:
        name: a network of the zoo, or the folder of a finished run.

    Raises:
        ValueError: neither of the two, or weights that are not those of the record.
    """
    if name in zoo.names():
        return zoo.load(name), zoo.card(name)
    folder = Path(name)
    try:
        record: dict[str, Any] = json.loads((folder / "result.json").read_text())
        model = models.build(record["network"], record["num_classes"], seed=0)
        checkpoints.load_weights(model, folder / "weights.safetensors")
        intact = checkpoints.weights_sha256(model) == record["weights_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = " ".join(str(error).split())
        raise ValueError(
            f"model: {', '.join(zoo.names())} or the folder of a finished run is needed, "
            f"found {name!r} ({why})"
        ) from error
    if not intact:
        raise ValueError(f"model: the weights in {name!r} are not those of its result.json")
    return model.eval(), record


def peak_memory_mib(device: torch.device) -> dict[str, int]:
    """The most memory that this process has held so far, and on a GPU its tensors there, in MiB.

    A run takes it after training, so that the record does not count the evaluation; the GPU's is of
    the run, the process's of all since its start.
    The process's is left out where the system does not say it (Windows).
    """
    found = {}
    if sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1024  # in bytes there, in KiB elsewhere
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        found["process"] = round(peak / 2**20)
    if device.type == "cuda":
        found["gpu"] = round(torch.cuda.max_memory_allocated(device) / 2**20)
    return found


def best_device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
