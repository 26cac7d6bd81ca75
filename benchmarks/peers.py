"""The library beside its peers, measured in one run, interleaved.

    python -m benchmarks.peers              # some 20 minutes on two cores, on a quiet machine
    python -m benchmarks.peers --quick      # tiny sizes: does it work?

Compared are PGD-20 with torchattacks and foolbox, class activation maps with torch-cam and
pytorch-grad-cam, an epoch of adversarial training with a plain loop, an epoch of PART with one of
adversarial training, and the memory of PART's masks with that of storing them. The table goes to
`results/benchmarks`, as JSON and as Markdown.
"""

from __future__ import annotations

import argparse
import copy
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import plain
from benchmarks.measure import Form, Operations, Peak, peak_tflops, row, side_by_side
from benchmarks.report import goals, markdown
from partlib import attacks, cam, checkpoints, environment, methods, models, results, runs, training
from partlib.data import ImageSet
from partlib.methods import Method
from partlib.recipes import RECIPES
from partlib.training import TrainConfig, mixed_precision

EPS, STEP, STEPS = 8 / 255, 2 / 255, 20
LONG, SHORT = "cifar10/resnet18", "scene-digits/small"  # recipes; PGD-10 and PGD-3
PEERS = ("torchattacks", "foolbox", "torchcam", "grad-cam")
Table = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured, and where."""

    device: torch.device
    rounds: int = 5
    network: str = "resnet18"
    images: int = 64  # attacked, and mapped, at once
    batch_size: int = 32
    batches: int = 2  # an epoch
    part_batch_size: int = 128  # the recipes' own: a map costs less beside larger batches
    masks: int = 1000

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """The network as built, and the same in the layout that training gives it."""
        model = models.build(self.network, 10, seed=0).eval().to(self.device)
        return model, copy.deepcopy(model).to(memory_format=torch.channels_last)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Images and labels; what they show does not matter here."""
        some = self.image_set(self.images).to(self.device)
        return some.images, some.labels

    def image_set(self, n: int) -> ImageSet:
        """Random images on the CPU, as a data set."""
        draws = torch.Generator().manual_seed(0)
        return ImageSet(
            name="random",
            split="train",
            pixels=torch.randint(0, 256, (n, 3, 32, 32), generator=draws, dtype=torch.uint8),
            labels=torch.randint(0, 10, (n,), generator=draws),
            class_names=tuple("0123456789"),
        )

    def table(
        self, task: str, of: str, forms: Mapping[str, Form], notes: Mapping[str, str] | None = None
    ) -> Table:
        """The forms of a task timed side by side; `times` is against the first of them."""
        print(f"{task}: {of}", file=sys.stderr)
        seconds = side_by_side(forms, self.rounds, self.device)
        base = next(iter(seconds.values()))
        rows = {name: row(found, base) for name, found in seconds.items()}
        return {"task": task, "of": of, "forms": rows, "notes": dict(notes or {})}


def pgd(sizes: Sizes) -> Table:
    """PGD-20 on ResNet-18; the forms get equal images and end at about the same loss."""
    model, fast = sizes.networks()
    x, y = sizes.batch()
    device = x.device

    def training_mode() -> Tensor:
        with mixed_precision(device, "auto"):
            nhwc = x.contiguous(memory_format=torch.channels_last)
            return attacks.pgd(fast, nhwc, y, EPS, step_size=STEP, steps=STEPS)

    def torchattacks(net: nn.Module) -> Tensor:
        import torchattacks

        attack = torchattacks.PGD(net, eps=EPS, alpha=STEP, steps=STEPS, random_start=True)
        found: Tensor = attack(x, y)
        return found

    def torchattacks_fast() -> Tensor:
        with mixed_precision(device, "auto"):
            return torchattacks(fast)

    def foolbox() -> Tensor:
        from foolbox.attacks import LinfPGD
        from foolbox.models import PyTorchModel

        attack = LinfPGD(abs_stepsize=STEP, steps=STEPS, random_start=True)
        net = PyTorchModel(model, bounds=(0, 1), device=device)
        found: Tensor = attack.run(net, x, y, epsilon=EPS)
        return found

    forms: dict[str, Callable[[], Tensor]] = {
        "partlib, training mode": training_mode,
        "partlib, evaluation mode": lambda: attacks.pgd(
            model, x, y, EPS, step_size=STEP, steps=STEPS
        ),
        "torchattacks": lambda: torchattacks(model),
        "torchattacks, given our layout and precision": torchattacks_fast,
        "foolbox": foolbox,
    }
    ends = {name: form() for name, form in forms.items()}
    with torch.no_grad():
        notes = {
            name: f"loss {F.cross_entropy(model(end.float()), y).item():.3f}"
            for name, end in ends.items()
        }
        notes["torchattacks"] += f" (clean {F.cross_entropy(model(x), y).item():.3f})"
    return sizes.table("PGD-20", f"{sizes.network}, {len(x)} images", forms, notes)


def maps(sizes: Sizes) -> Table:
    """Grad-CAM of the last stage of ResNet-18, brought to the images' size."""
    from pytorch_grad_cam import GradCAM as Theirs
    from torchcam.methods import GradCAM

    model, fast = sizes.networks()
    hooked, hooked_too = copy.deepcopy(model), copy.deepcopy(model)
    x, _ = sizes.batch()
    singles = x.split(1)

    def training_mode() -> Tensor:
        with mixed_precision(x.device, "auto"):
            return cam.grad_cam(fast, x.contiguous(memory_format=torch.channels_last))

    def torchcam(x: Tensor) -> Tensor:
        logits = hooked(x)
        (heat,) = torch_cam(logits.argmax(dim=1).tolist(), logits)
        return F.interpolate(heat[:, None], x.shape[2:], mode="bilinear")

    def one_by_one(form: Callable[[Tensor], object]) -> Form:
        return lambda: [form(image) for image in singles]

    with (
        GradCAM(hooked, "features") as torch_cam,
        Theirs(hooked_too, [hooked_too.features]) as theirs,
    ):
        forms: dict[str, Form] = {
            "partlib, batched": lambda: cam.grad_cam(model, x),
            "partlib, batched, training mode": training_mode,
            "partlib, one by one": one_by_one(lambda image: cam.grad_cam(model, image)),
            "torch-cam, batched": lambda: torchcam(x),
            "torch-cam, one by one": one_by_one(torchcam),
            "pytorch-grad-cam, batched": lambda: theirs(x, None),
            "pytorch-grad-cam, one by one": one_by_one(lambda image: theirs(image, None)),
        }
        return sizes.table("Grad-CAM", f"{sizes.network}, {len(x)} images", forms)


def _batches(n: int, size: int) -> str:
    return f"{n} batch{'es' * (n > 1)} of {size}"


def epoch(sizes: Sizes) -> Table:
    """Adversarial training with PGD-10 on so many batches, beside the loop that everyone writes."""
    images = sizes.image_set(sizes.batches * sizes.batch_size)
    config = replace(RECIPES[LONG].config, epochs=1, batch_size=sizes.batch_size)
    ours, theirs = sizes.networks()[0], sizes.networks()[0]
    batches = plain.loader(images, config, workers=4 if sizes.device.type == "cuda" else 0)
    forms: dict[str, Form] = {
        "partlib": lambda: training.fit(ours, images, methods.at(), config, progress=False),
        "a plain loop": lambda: plain.epoch(theirs, batches, config),
    }
    of = f"{sizes.network}, PGD-10, {_batches(sizes.batches, sizes.batch_size)}"
    return sizes.table("AT epoch", of, forms)


def part(sizes: Sizes, name: str) -> Table:
    """An epoch of PART beside one of adversarial training: the masks are all that differs."""
    recipe = RECIPES[name]
    network = "small" if recipe.network == "small" else sizes.network
    config = replace(recipe.config, epochs=1, batch_size=sizes.part_batch_size, ramp=0.0)
    batches = sizes.batches if network == "small" else max(1, sizes.batches // 2)
    images = sizes.image_set(batches * sizes.part_batch_size)

    def epoch(method: Method) -> Form:
        net = models.build(network, 10, seed=0).to(sizes.device)
        return lambda: training.fit(net, images, method, config, progress=False)

    forms = {
        "adversarial training": epoch(recipe.method("at")),
        "PART": epoch(recipe.method("part", warmup=0)),
    }
    of = f"{network}, PGD-{recipe.steps}, {_batches(batches, sizes.part_batch_size)}"
    return sizes.table("PART epoch", of, forms)


def mask_memory(sizes: Sizes) -> Table:
    """The most memory that masks take in an epoch, made when needed or all stored, by images."""
    model = models.build("small", 10, seed=0).eval().to(sizes.device)
    method = methods.part(methods.at())
    counts = [sizes.masks, 2 * sizes.masks, 4 * sizes.masks]
    peaks: dict[str, list[float]] = {"partlib, made when needed": [], "stored": []}
    for name, found in peaks.items():
        for n in counts:
            kept = []
            images = sizes.image_set(n)
            with Peak() as peak:
                for start in range(0, n, 128):
                    batch = images[start : start + 128].to(sizes.device)
                    budget = method.budget(model, batch.images, batch.labels, epoch=0)
                    if name == "stored":
                        kept.append(budget)
            found.append(round(peak.most / 2**20, 3))
    return {"task": "mask memory", "of": "small", "images": counts, "peak_mib": peaks}


def share_of_peak(sizes: Sizes, at: Table) -> Table:
    """How much of the chip's bfloat16 peak, measured by matrix products, the AT epoch uses."""
    few = sizes.image_set(2)
    config = TrainConfig(epochs=1, batch_size=2, ramp=0.0, precision="fp32")
    net = models.build(sizes.network, 10, seed=0)
    with Operations() as operations:
        training.fit(net, few, methods.at(), config, progress=False)
    an_image = operations.total / 2
    images_a_second = sizes.batches * sizes.batch_size / at["forms"]["partlib"]["median_s"]
    reached = an_image * images_a_second / 1e12
    peak = peak_tflops(sizes.device, sizes.rounds)
    return {
        "gflop_an_image": an_image / 1e9,
        "images_a_second": images_a_second,
        "tflops": reached,
        "peak_tflops": peak,
        "share": reached / peak,
    }


def measure(sizes: Sizes) -> dict[str, Any]:
    """All comparisons, with what a figure may depend on."""
    start = time.perf_counter()
    tables = {
        "pgd": pgd(sizes),
        "cam": maps(sizes),
        "epoch": epoch(sizes),
        "part": part(sizes, LONG),
        "part_small": part(sizes, SHORT),
        "memory": mask_memory(sizes),
    }
    return {
        "command": shlex.join(["python", "-m", "benchmarks.peers", *sys.argv[1:]]),
        **environment.describe(sizes.device),
        "peers": {name: version(name) for name in PEERS},
        "precision": "bf16" if training.uses_bf16(sizes.device, "auto") else "fp32",
        "rounds": sizes.rounds,
        "tables": tables,
        "share_of_peak": share_of_peak(sizes, tables["epoch"]),
        "goals": goals(tables),
        "seconds": round(time.perf_counter() - start, 1),
    }


def main() -> None:
    """Measure, print the table, and write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: does it work? Writes nothing."
    )
    parser.add_argument("--rounds", type=int, default=5, help="at least 5 to report (default: 5)")
    parser.add_argument("--out", type=Path, default=results.folder("benchmarks"), help="folder")
    given = parser.parse_args()
    try:
        for name in PEERS:
            version(name)
    except PackageNotFoundError as error:
        parser.error(f"{error}; see the extra bench in pyproject.toml")
    device = runs.best_device()
    sizes = Sizes(device=device, rounds=given.rounds)
    if device.type == "cuda":
        sizes = replace(sizes, images=256, batch_size=128, batches=20, masks=10_000)
    if given.quick:
        sizes = replace(
            sizes, network="small", images=4, batch_size=4, part_batch_size=4, masks=256
        )
    record = measure(sizes)
    print(markdown(record))
    if given.quick:
        return  # not figures to keep
    stem = f"peers-{device.type}"
    checkpoints.write_json(given.out / f"{stem}.json", record)
    checkpoints.write_bytes(given.out / f"{stem}.md", markdown(record).encode())
    print(f"{record['seconds']:.0f} s; written to {given.out}/{stem}.json and .md", file=sys.stderr)


if __name__ == "__main__":
    main()
