"""Write what the attack lab's page loads: the zoo's networks, test images, TensorFlow.js.

All goes into scripts, because a page opened from a disk may load scripts and nothing else. The
lab's own code is in `book/_static/lab`.
"""

import copy
import json
import shutil
from base64 import b64encode
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from partlib import data, evaluation, zoo
from partlib.models import Classifier, Residual
from tools.notebooks import write
from tools.vendor import VENDOR

NETWORKS = ("at", "natural", "part")
"""Those of the zoo that the lab has; each is 1 MB of script."""


def export(folder: Path) -> None:
    """Write the scripts into a folder, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for source in (*VENDOR.glob("*.min.js"), *VENDOR.glob("LICENSE-tensor*")):
        shutil.copyfile(source, folder / source.name)
    (wasm,) = VENDOR.glob("*.wasm")
    write(folder / "wasm.js", script("wasm", b64encode(wasm.read_bytes()).decode()))
    nets = {name: zoo.load(name) for name in NETWORKS}
    for name, net in nets.items():
        write(folder / f"weights-{name}.js", script(f"weights.{name}", network(net)))
    write(folder / "images.js", script("data", images(list(nets.values()))))


def script(name: str, value: object) -> str:
    """A script that sets `lab.NAME`."""
    return f"lab.{name} = {json.dumps(value, separators=(',', ':'))};\n"


def network(model: Classifier) -> dict[str, Any]:
    """A `small` network in eval mode as JSON, with BatchNorm folded into the convolutions.

    Raises:
        ValueError: a network of another form, such as a ResNet-18.
    """
    layers = list(model.features) if isinstance(model.features, nn.Sequential) else []
    form = [type(layer) for layer in layers[:3]]
    blocks = [layer for layer in layers[3:] if isinstance(layer, Residual)]
    if form != [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] or len(blocks) != len(layers) - 3:
        raise ValueError(f"model: the form of `small` is needed, found {model}")
    linear = model.head.linear
    assert isinstance(linear, nn.Linear)
    return {
        "stem": convolution(layers[0], layers[1]),
        "blocks": [block_of(block) for block in blocks],
        "linear": {"kernel": floats(linear.weight.T), "bias": floats(linear.bias)},
    }


def block_of(block: Residual) -> dict[str, Any]:
    """A residual block; its shortcut is None where that is the identity."""
    past = block.shortcut
    return {
        "conv1": convolution(block.conv1, block.bn1),
        "conv2": convolution(block.conv2, block.bn2),
        "shortcut": convolution(*past) if isinstance(past, nn.Sequential) else None,
    }


def convolution(conv: nn.Module, norm: nn.Module) -> dict[str, Any]:
    """A convolution and its BatchNorm as one convolution, kernel (height, width, in, out)."""
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    # In double precision, rounded once.
    folded = fuse_conv_bn_eval(copy.deepcopy(conv).double(), copy.deepcopy(norm).double())
    assert folded.bias is not None
    return {
        "kernel": floats(folded.weight.permute(2, 3, 1, 0)),
        "bias": floats(folded.bias),
        "stride": conv.stride[0],
        "pad": conv.padding[0],
    }


def images(models: list[Classifier]) -> dict[str, Any]:
    """The first test image of each class that all the networks read right, with its mask."""
    test = data.load("scene-digits", "test", n=200)
    right = torch.ones(len(test), dtype=torch.bool)
    for model in models:
        right &= evaluation.predict(model, test.images).argmax(dim=1) == test.labels
    classes = range(len(test.class_names))
    chosen = torch.stack([(right & (test.labels == c)).nonzero()[0, 0] for c in classes])
    picked = test[chosen]
    assert picked.masks is not None
    viridis = torch.tensor(mpl.colormaps["viridis"].colors)  # type: ignore[attr-defined]
    return {
        "pixels": whole(picked.images.permute(0, 2, 3, 1)),
        "masks": whole(picked.masks),
        "labels": picked.labels.tolist(),
        "numbers": chosen.tolist(),
        "names": list(test.class_names),
        "viridis": whole(viridis),
    }


def floats(values: Tensor) -> dict[str, Any]:
    """A tensor as its shape and its bytes, float32, little end first."""
    raw = values.detach().float().contiguous().numpy().astype("<f4").tobytes()
    return {"shape": list(values.shape), "bytes": b64encode(raw).decode()}


def whole(values: Tensor) -> dict[str, Any]:
    """A tensor of values in [0, 1] as its shape and one byte a value."""
    raw = (values * 255).round().to(torch.uint8).contiguous().numpy().tobytes()
    return {"shape": list(values.shape), "bytes": b64encode(raw).decode()}
