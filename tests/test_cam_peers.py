"""The four maps are those of torch-cam and pytorch-grad-cam."""

import pytest
import pytorch_grad_cam
import torch
import torch.nn.functional as F
import torchvision
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from partlib import models
from partlib.cam import CAMS

torchcam = pytest.importorskip("torchcam.methods")  # it needs Python 3.11

THEIRS = {
    "cam": (torchcam.CAM, None),
    "grad_cam": (torchcam.GradCAM, pytorch_grad_cam.GradCAM),
    "xgrad_cam": (torchcam.XGradCAM, pytorch_grad_cam.XGradCAM),
    "layer_cam": (torchcam.LayerCAM, pytorch_grad_cam.LayerCAM),
}


def random_images(n: int = 4, side: int = 32) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def worked(model: nn.Module) -> nn.Module:
    """BatchNorm has seen images, so that nothing is at its default."""
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(1)))
    return model.eval()


@pytest.fixture(scope="module")
def nets() -> dict[str, tuple[nn.Module, str]]:
    """Networks, and the name of their last stage."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = torchvision.models.resnet18(num_classes=10)
    return {
        "small": (worked(models.build("small", 10, seed=0)), "features"),
        "resnet18": (worked(models.build("resnet18", 10, seed=0)), "features"),
        "torchvision": (worked(theirs), "layer4"),
    }


def stretched(heat: Tensor) -> Tensor:
    """Each image's heat from 0 to 1, as pytorch-grad-cam scales it."""
    low, high = heat.amin(dim=(1, 2), keepdim=True), heat.amax(dim=(1, 2), keepdim=True)
    return (heat - low) / (1e-7 + high - low)


def by_torchcam(name: str, model: nn.Module, layer: str, x: Tensor, target: Tensor) -> Tensor:
    """What torch-cam finds, brought to the image's size and scale."""
    with THEIRS[name][0](model, layer) as extractor:
        (heat,) = extractor(target.tolist(), model(x), normalized=False)
    heat = F.interpolate(heat.relu()[:, None], x.shape[2:], mode="bilinear")[:, 0].detach()
    return heat / heat.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)


def by_pytorch_grad_cam(
    name: str, model: nn.Module, layer: str, x: Tensor, target: Tensor
) -> Tensor:
    other = THEIRS[name][1]
    assert other is not None
    with other(model, [model.get_submodule(layer)]) as extractor:
        heat = extractor(x, [ClassifierOutputTarget(label) for label in target.tolist()])
    return torch.from_numpy(heat)


@pytest.mark.parametrize("name", CAMS)
@pytest.mark.parametrize("net", ["small", "resnet18", "torchvision"])
def test_the_last_stage_as_two_other_libraries_see_it(
    name: str, net: str, nets: dict[str, tuple[nn.Module, str]]
) -> None:
    model, layer = nets[net]
    x, target = random_images(6, 64 if net == "torchvision" else 32), torch.arange(6)
    found = {"layer": CAMS[name](model, x, target, layer=layer)}
    if net != "torchvision":
        found["last"] = CAMS[name](model, x, target)
    for heat in found.values():
        assert (heat.amax(dim=(1, 2)) == 1).sum() >= 4, "most maps must say something"
        expected = by_torchcam(name, model, layer, x, target)
        torch.testing.assert_close(heat, expected, rtol=0, atol=1e-4)
        if name != "cam":
            expected = by_pytorch_grad_cam(name, model, layer, x, target)
            torch.testing.assert_close(stretched(heat), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["grad_cam", "xgrad_cam", "layer_cam"])
@pytest.mark.parametrize(
    ("net", "layer"), [("small", "features.3"), ("resnet18", "features.4"), ("torchvision", "bn1")]
)
def test_an_early_layer_as_torchcam_sees_it(
    name: str, net: str, layer: str, nets: dict[str, tuple[nn.Module, str]]
) -> None:
    model, x, target = nets[net][0], random_images(3), torch.tensor([4, 0, 9])
    found = CAMS[name](model, x, target, layer=layer)
    if layer == "bn1":  # its maps are changed in place, also under torch-cam's hands
        model.relu = nn.ReLU(inplace=False)
    expected = by_torchcam(name, model, layer, x, target)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    if name == "layer_cam":
        torch.testing.assert_close(
            stretched(found), by_pytorch_grad_cam(name, model, layer, x, target), rtol=0, atol=1e-4
        )
        plain = CAMS["grad_cam"](model, x, target, layer=layer)
        assert (found - plain).abs().max() > 0.1, "here the two are not one map"
