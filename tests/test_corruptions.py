"""Corruptions: the published generator's, seeded by image, within [0, 1]."""

import io
import re
from pathlib import Path
from typing import Any

import matplotlib.colors
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage, stats
from sklearn.datasets import load_sample_images
from torch import Tensor

from partlib import corruptions
from partlib.corruptions import NAMES, SEVERITIES, corrupt, load_cifar10c, primitives, released
from partlib.corruptions.table import TABLE
from partlib.corruptions.weather import _rims, ice

ROOT = Path(__file__).parents[1]

# Mean change on the images of `photos`, made once with the published generator on OpenCV and
# scikit-image; motion by a transcription of ImageMagick's formula, frost from its photographs.
PUBLISHED = {
    "gaussian_noise": (0.0296, 0.0436, 0.0572, 0.0637, 0.0702),
    "shot_noise": (0.0197, 0.0276, 0.0426, 0.0488, 0.0589),
    "impulse_noise": (0.0050, 0.0100, 0.0149, 0.0251, 0.0351),
    "speckle_noise": (0.0188, 0.0305, 0.0361, 0.0469, 0.0574),
    "defocus_blur": (0.0060, 0.0148, 0.0218, 0.0306, 0.0373),
    "glass_blur": (0.0369, 0.0369, 0.0362, 0.0527, 0.0496),
    "motion_blur": (0.0220, 0.0303, 0.0361, 0.0361, 0.0406),
    "zoom_blur": (0.0269, 0.0319, 0.0363, 0.0405, 0.0440),
    "gaussian_blur": (0.0057, 0.0213, 0.0262, 0.0298, 0.0348),
    "snow": (0.0421, 0.0893, 0.0962, 0.1370, 0.1922),
    "frost": (0.1157, 0.1665, 0.1945, 0.1831, 0.1858),
    "fog": (0.0509, 0.0980, 0.1250, 0.1439, 0.1700),
    "brightness": (0.0341, 0.0645, 0.0918, 0.1168, 0.1623),
    "spatter": (0.0040, 0.0104, 0.0251, 0.0111, 0.0184),
    "contrast": (0.0293, 0.0585, 0.0702, 0.0819, 0.0995),
    "elastic_transform": (0.0616, 0.0578, 0.0533, 0.0499, 0.0431),
    "pixelate": (0.0062, 0.0120, 0.0146, 0.0218, 0.0299),
    "jpeg_compression": (0.0198, 0.0252, 0.0272, 0.0292, 0.0318),
    "saturate": (0.0673, 0.0865, 0.0285, 0.0612, 0.0842),
}
# Drawn anew by the reference, so that only the spread is the same; spatter by another distance.
LOOSE = {"impulse_noise": 0.03, "frost": 0.05, "fog": 0.06, "spatter": 0.07}
# Where the published generator's next severity changes no more than the one before.
NOT_ORDERED = {
    "glass_blur": (2, 3, 5),
    "motion_blur": (4,),
    "frost": (4,),
    "spatter": (4,),
    "elastic_transform": (2, 3, 4, 5),
    "saturate": (3,),
}
WITHOUT_CHANCE = {
    "defocus_blur", "zoom_blur", "gaussian_blur", "brightness", "contrast", "pixelate",
    "jpeg_compression", "saturate",
}  # fmt: skip
SETTINGS = """
gaussian_noise .04 .06 .08 .09 .10
shot_noise 500 250 100 75 50
impulse_noise .01 .02 .03 .05 .07
speckle_noise .06 .1 .12 .16 .2
gaussian_blur .4 .6 .7 .8 1
glass_blur .05,1,1 .25,1,1 .4,1,1 .25,1,2 .4,1,2
defocus_blur .3,.4 .4,.5 .5,.6 1,.2 1.5,.1
motion_blur 6,1 6,1.5 6,2 8,2 9,2.5
zoom_blur 1.06 1.11 1.16 1.21 1.26
fog .2,3 .5,3 .75,2.5 1,2 1.5,1.75
frost 1,.2 1,.3 .9,.4 .85,.4 .75,.45
snow .1,.2,1,.6,8,3,.95 .1,.2,1,.5,10,4,.9 .15,.3,1.75,.55,10,4,.9 .25,.3,2.25,.6,12,6,.85 \
.3,.3,1.25,.65,14,12,.8
spatter .62,.1,.7,.7,.5,0 .65,.1,.8,.7,.5,0 .65,.3,1,.69,.5,0 .65,.1,.7,.69,.6,1 .65,.1,.5,.68,.6,1
contrast .75 .5 .4 .3 .15
brightness .05 .1 .15 .2 .3
saturate .3,0 .1,0 1.5,0 2,.1 2.5,.2
jpeg_compression 80 65 58 50 40
pixelate .95 .9 .85 .75 .65
elastic_transform 0,0,.08 .05,.2,.07 .08,.06,.06 .1,.04,.05 .1,.03,.03
"""

WANTED = {
    name: [tuple(float(v) for v in level.split(",")) for level in levels]
    for name, *levels in (line.split() for line in SETTINGS.strip().splitlines())
}


def levels(name: str) -> list[tuple[float, ...]]:
    """Each severity with its parameters."""
    return [(severity, *WANTED[name][severity - 1]) for severity in SEVERITIES]


every = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def photos() -> Tensor:
    """108 crops of two photographs, every third pixel."""
    crops = [
        photo[top : top + 96 : 3, left : left + 96 : 3]
        for photo in load_sample_images().images
        for top in range(0, 331, 66)
        for left in range(0, 544, 64)
    ]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().contiguous() / 255


def flat(value: float, n: int = 8) -> Tensor:
    return torch.full((n, 3, 32, 32), value)


def test_the_names_are_the_rows_of_the_published_table() -> None:
    rows = (ROOT / "results/paper/corruptions.csv").read_text().splitlines()[1:]
    assert tuple(row.split(",")[0].lower().replace(" ", "_") for row in rows) == NAMES


def test_the_settings_are_the_published_ones() -> None:
    assert {name: settings for name, (_, settings) in TABLE.items()} == WANTED
    assert all(function.__name__ == name for name, (function, _) in TABLE.items())


@every
def test_the_change_is_the_published_one(name: str, photos: Tensor) -> None:
    before = photos.clone()
    state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    changes = []
    for severity in SEVERITIES:
        out = corrupt(photos, name, severity)
        assert out.shape == photos.shape
        assert out.dtype == torch.float32
        assert out.is_contiguous()
        assert 0 <= out.min() <= out.max() <= 1
        assert ((out - photos).abs().amax(dim=(1, 2, 3)) > 1e-4).float().mean() > 0.9
        changes.append((out - photos).abs().mean().item())
    assert changes == pytest.approx(PUBLISHED[name], rel=LOOSE.get(name, 0.003), abs=6e-5)
    steps = zip(SEVERITIES[1:], changes[:-1], changes[1:], strict=True)
    assert tuple(s for s, low, high in steps if high < low * 1.005) == NOT_ORDERED.get(name, ())
    assert torch.equal(photos, before)
    assert np.array_equal(state[0], np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(state[1], torch.get_rng_state())


@every
@pytest.mark.parametrize("severity", [1, 5])
def test_an_image_does_not_see_its_batch(name: str, severity: int, photos: Tensor) -> None:
    x = photos[:12].double()
    before = x.clone()
    whole = corrupt(x, name, severity, seed=3)
    assert torch.equal(whole, corrupt(x, name, severity, seed=3))
    assert torch.equal(whole[7:9], corrupt(x[7:9], name, severity, seed=3, first=7))
    for i in (0, 5, 11):
        assert torch.equal(whole[i : i + 1], corrupt(x[i : i + 1], name, severity, seed=3, first=i))
    other = x.clone()
    other[:5], other[6:] = 0, 1
    assert torch.equal(whole[5], corrupt(other, name, severity, seed=3)[5])
    assert torch.equal(x, before), "also where no copy is needed to compute"


@every
def test_chance_comes_from_seed_number_and_name(name: str, photos: Tensor) -> None:
    same = photos[:1].expand(6, -1, -1, -1)
    out = corrupt(same, name, 3)
    alike = [torch.equal(out[0], image) for image in out[1:]]
    alike += [torch.equal(out, corrupt(same, name, 3, seed=2**40))]
    assert alike == [name in WITHOUT_CHANCE] * 6


def test_blocks_do_not_show(photos: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = corrupt(photos[:10], "fog", 4, first=2)
    monkeypatch.setattr(corruptions, "BLOCK", 3)
    assert torch.equal(whole, corrupt(photos[:10], "fog", 4, first=2))


@every
@pytest.mark.parametrize("size", [(16, 16), (17, 40), (64, 33)])
def test_other_sizes_work(name: str, size: tuple[int, int], photos: Tensor) -> None:
    x = torch.nn.functional.interpolate(photos[:3], size, mode="bilinear")
    for severity in SEVERITIES:
        out = corrupt(x, name, severity)
        assert out.shape == x.shape
        assert 0 <= out.min() <= out.max() <= 1  # NaN fails here too
        assert not torch.equal(out, x)


@every
def test_flat_images_are_finite(name: str) -> None:
    x = torch.stack([flat(value, 1)[0] for value in (0, 0.5, 1)])
    for severity in SEVERITIES:
        out = corrupt(x, name, severity)
        assert 0 <= out.min() <= out.max() <= 1  # NaN fails here too


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_the_type_of_the_images_is_kept(dtype: torch.dtype, photos: Tensor) -> None:
    x = photos[:2].to(dtype).requires_grad_()
    out = corrupt(x, "contrast", 5)
    assert out.dtype == dtype
    assert not out.requires_grad
    assert 0 <= out.min() <= out.max() <= 1
    torch.testing.assert_close(
        out.float(), corrupt(x.detach().float(), "contrast", 5), rtol=0, atol=0.004
    )


# Each of the simple ones against its definition.


@pytest.mark.parametrize(("severity", "sigma"), levels("gaussian_noise"))
def test_gaussian_noise_has_its_variance(severity: int, sigma: float) -> None:
    change = corrupt(flat(0.5, 40), "gaussian_noise", severity) - 0.5
    assert change.std().item() == pytest.approx(sigma, rel=0.01)
    assert abs(change.mean().item()) < sigma / 100
    assert abs(np.corrcoef(change.flatten(2).permute(1, 0, 2).flatten(1))[0, 1]) < 0.02


@pytest.mark.parametrize(("severity", "sigma"), levels("speckle_noise"))
def test_speckle_noise_grows_with_light(severity: int, sigma: float) -> None:
    for level in (0.1, 0.5):
        change = corrupt(flat(level, 40), "speckle_noise", severity) - level
        assert change.std().item() == pytest.approx(sigma * level, rel=0.01)


@pytest.mark.parametrize(("severity", "photons"), levels("shot_noise"))
def test_shot_noise_counts_photons(severity: int, photons: float) -> None:
    out = corrupt(flat(0.3, 40), "shot_noise", severity).double()
    torch.testing.assert_close(out * photons, (out * photons).round(), rtol=0, atol=1e-4)
    assert out.mean().item() == pytest.approx(0.3, rel=0.005)
    assert out.var().item() == pytest.approx(0.3 / photons, rel=0.02)


@pytest.mark.parametrize(("severity", "amount"), levels("impulse_noise"))
def test_impulse_noise_is_salt_and_pepper_evenly(severity: int, amount: float) -> None:
    out = corrupt(flat(0.5, 80), "impulse_noise", severity)
    assert sorted(out.unique().tolist()) == [0, 0.5, 1]
    for value in (0, 1):
        assert (out == value).float().mean().item() == pytest.approx(amount / 2, rel=0.06)


@pytest.mark.parametrize(("severity", "sigma"), levels("gaussian_blur"))
def test_gaussian_blur_is_scipys(severity: int, sigma: float, photos: Tensor) -> None:
    out = corrupt(photos[:3], "gaussian_blur", severity).numpy()
    for image, wanted in zip(out, photos.numpy(), strict=False):
        for channel in range(3):
            reference = ndimage.gaussian_filter(wanted[channel], sigma, mode="nearest")
            np.testing.assert_allclose(image[channel], reference, atol=1e-6)


def test_defocus_averages_over_a_disc() -> None:
    x = flat(0.0, 1)
    x[..., 16, 16] = 1
    plus = corrupt(x, "defocus_blur", 4)[0, 0]
    assert (plus > 0.19).sum() == 5
    assert plus[16, 14:19].tolist() == pytest.approx([0, 0.2, 0.2, 0.2, 0], abs=1e-4)
    square = corrupt(x, "defocus_blur", 5)[0, 0]
    torch.testing.assert_close(square[15:18, 15:18], torch.full((3, 3), 1 / 9))
    assert square.sum().item() == pytest.approx(1)


def test_glass_copies_from_above_and_the_left() -> None:
    x = torch.arange(1024.0).reshape(1, 1, 32, 32).expand(1, 3, -1, -1) / 1023
    before, after = (v[0, 0].mul(1023).round().int() for v in (x, corrupt(x, "glass_blur", 1)))
    moved = before - after
    assert set(moved[2:, 2:].flatten().tolist()) == {0, 1, 32, 33}
    assert not moved[:2].any()
    assert not moved[:, :2].any()


def test_motion_takes_from_the_right_within_45_degrees() -> None:
    x = flat(0.0, 30)
    x[..., 16, 16] = 1
    out = corrupt(x, "motion_blur", 5)[:, 0]
    assert out[:, :, 17:].sum() == 0
    rows, columns = np.mgrid[:32, :32] - 16
    assert (out.amax(dim=0).numpy()[abs(rows) > abs(columns)] == 0).all()
    torch.testing.assert_close(out.sum(dim=(1, 2)), torch.ones(30))
    taps = np.exp(-(np.arange(19) ** 2) / (2 * 2.5**2))
    assert out[0, 16, 16].item() == pytest.approx(taps[0] / taps.sum())
    columns_of_two = out.sum(dim=(0, 1)) / 30
    assert (columns_of_two[5:17].diff() > 0).all()


def test_enlarging_is_scipys_zoom(photos: Tensor) -> None:
    image = photos[0, 0].double().numpy()
    for factor in (1, 1.02, 1.1, 1.25, 1.75, 2.25):
        kept = int(np.ceil(32 / factor))
        top = (32 - kept) // 2
        large = ndimage.zoom(image[top : top + kept, top : top + kept], factor, order=1)
        trim = (len(large) - 32) // 2
        wanted = large[trim : trim + 32, trim : trim + 32]
        np.testing.assert_allclose(primitives.zoom(image, factor), wanted, atol=1e-12)


@pytest.mark.parametrize(("severity", "end"), levels("zoom_blur"))
def test_zoom_blur_is_a_mean_of_enlargements(severity: int, end: float, photos: Tensor) -> None:
    out = corrupt(photos[:1], "zoom_blur", severity)[0, 0]
    image = photos[0, 0].double().numpy()
    steps = {1.06: 7, 1.11: 12, 1.16: 16, 1.21: 21, 1.26: 26}[end]
    larger = [primitives.zoom(image, 1 + i * (1.01 - 1)) for i in range(steps)]
    np.testing.assert_allclose(out, np.mean([image, *larger], axis=0), atol=1e-6)


@pytest.mark.parametrize(("severity", "add"), levels("brightness"))
def test_brightness_adds_to_the_value_alone(severity: int, add: float, photos: Tensor) -> None:
    before, after = (
        matplotlib.colors.rgb_to_hsv(v.permute(0, 2, 3, 1).double().numpy())
        for v in (photos, corrupt(photos, "brightness", severity))
    )
    np.testing.assert_allclose(after[..., 2], (before[..., 2] + add).clip(max=1), atol=1e-6)
    coloured = before[..., 1] * before[..., 2] > 0.05
    np.testing.assert_allclose(after[coloured][:, 0], before[coloured][:, 0], atol=1e-4)
    np.testing.assert_allclose(after[coloured][:, 1], before[coloured][:, 1], atol=1e-4)


@pytest.mark.parametrize(("severity", "factor", "add"), levels("saturate"))
def test_saturate_scales_the_saturation_alone(
    severity: int, factor: float, add: float, photos: Tensor
) -> None:
    before, after = (
        matplotlib.colors.rgb_to_hsv(v.permute(0, 2, 3, 1).double().numpy())
        for v in (photos, corrupt(photos, "saturate", severity))
    )
    wanted = (before[..., 1] * factor + add).clip(0, 1)
    bright = before[..., 2] > 0.05
    np.testing.assert_allclose(after[bright][:, 1], wanted[bright], atol=1e-5)
    np.testing.assert_allclose(after[..., 2], before[..., 2], atol=1e-6)


@pytest.mark.parametrize(("severity", "factor"), levels("contrast"))
def test_contrast_scales_about_each_channels_mean(
    severity: int, factor: float, photos: Tensor
) -> None:
    out = corrupt(photos, "contrast", severity)
    for v in (out.mean(dim=(2, 3)), photos.mean(dim=(2, 3))):
        torch.testing.assert_close(v, photos.mean(dim=(2, 3)))
    torch.testing.assert_close(out.std(dim=(2, 3)), factor * photos.std(dim=(2, 3)))


@pytest.mark.parametrize(("severity", "quality"), levels("jpeg_compression"))
def test_jpeg_is_pillows(severity: int, quality: float, photos: Tensor) -> None:
    photo = (photos[2] - 0.4 / 255).clamp(min=0)  # a little below bytes, which it is rounded to
    picture = (photo * 255).round().byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=int(quality))
    wanted = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
    assert torch.equal(corrupt(photo[None], "jpeg_compression", severity)[0], wanted)


@pytest.mark.parametrize(("severity", "side"), [(1, 30), (2, 28), (3, 27), (4, 24), (5, 20)])
def test_pixelate_keeps_so_many_pixels(severity: int, side: int) -> None:
    ramp = torch.arange(32.0) / 62
    x = (ramp + ramp[:, None]).expand(1, 3, 32, 32)
    out = corrupt(x, "pixelate", severity)[0, 0]
    assert len({tuple(row) for row in out.tolist()}) == side
    assert len({tuple(row) for row in out.T.tolist()}) == side


def test_contrast_of_half_a_checkerboard_by_hand() -> None:
    x = flat(0.2, 1)
    x[..., ::2] = 0.6
    assert sorted(corrupt(x, "contrast", 2).unique().tolist()) == pytest.approx([0.3, 0.5])


@pytest.mark.parametrize(("severity", "strength"), [(1, 0.2), (3, 0.75), (5, 1.5)])
def test_fog_is_a_cloud_from_nothing_to_its_strength(severity: int, strength: float) -> None:
    for level in (0.2, 0.8):
        out = corrupt(flat(level), "fog", severity).double()
        cloud = out * (level + strength) / level - level
        assert torch.equal(out[:, 0], out[:, 1])
        torch.testing.assert_close(cloud.amin(dim=(1, 2, 3)), torch.zeros(8).double(), **NEAR)
        torch.testing.assert_close(cloud.amax(dim=(1, 2, 3)), strength + torch.zeros(8), **NEAR)


NEAR: Any = {"rtol": 0, "atol": 1e-5, "check_dtype": False}


def test_clouds_are_smoother_where_they_decay_more() -> None:
    streams = [primitives.stream(0, "fog", i) for i in range(400)]
    # Mean step from pixel to pixel of the published algorithm's maps, 1,500 of each.
    for decay, step in {3: 0.0203, 2.5: 0.0214, 2: 0.0245, 1.75: 0.0288}.items():
        cloud = primitives.plasma(streams, (32, 32), decay)
        assert abs(np.diff(cloud, axis=1)).mean() == pytest.approx(step, rel=0.03)
        assert abs(np.diff(cloud, axis=2)).mean() == pytest.approx(step, rel=0.03)


def test_snow_falls_from_above() -> None:
    flake = np.zeros((3, 1, 32, 32))
    flake[..., 16, 16] = 1
    fallen = primitives.streak(flake, 8, 3, np.array([-90.0, -120.0, -60.0]))[:, 0]
    assert (fallen[0][:, 16] > 0).nonzero()[0].tolist() == list(range(16, 32))
    assert fallen[0].sum() == pytest.approx(fallen[0][:, 16].sum())
    for image, side in zip(fallen[1:], (1, -1), strict=True):
        rows, columns = image.nonzero()
        assert (np.diff(rows[np.argsort(rows)]) >= 0).all()
        assert ((columns - 16) * side >= 0).all()
        assert rows.min() == 16


def test_snow_whitens_and_never_darkens(photos: Tensor) -> None:
    for severity in SEVERITIES:
        assert (corrupt(photos, "snow", severity) - photos).min() >= -1e-6


def test_ice_looks_like_the_photographs() -> None:
    texture = ice([primitives.stream(0, "frost", i) for i in range(400)], (32, 32))
    assert 0 <= texture.min() <= texture.max() <= 1
    # 2,000 crops of the five photographs that the published generator draws from.
    assert texture.mean(axis=(0, 2, 3)) == pytest.approx([0.565, 0.648, 0.694], abs=0.03)
    assert texture.mean(axis=(1, 2, 3)).std() == pytest.approx(0.153, abs=0.03)
    assert texture.std(axis=(2, 3)).mean() == pytest.approx(0.088, abs=0.02)


def test_frost_is_ice_over_the_image() -> None:
    dark = corrupt(flat(0.0), "frost", 5).double()
    lit = corrupt(flat(0.2), "frost", 5).double()
    torch.testing.assert_close(lit - dark, 0.15 + torch.zeros(8, 3, 32, 32), **NEAR)
    texture = ice([primitives.stream(0, "frost", i) for i in range(8)], (32, 32))
    np.testing.assert_allclose(dark.numpy(), 0.45 * texture, atol=1e-6)


def test_spatter_is_water_then_mud() -> None:
    point = np.zeros((31, 31))
    point[15, 15] = 1
    for severity, mean, std, sigma, threshold, intensity, _ in levels("spatter")[:3]:
        smoothed = std * np.sqrt((ndimage.gaussian_filter(point, sigma) ** 2).sum())
        wet = stats.norm.sf((threshold - mean) / smoothed)
        change = corrupt(flat(0.2, 30), "spatter", int(severity)) - 0.2
        assert change.min() >= -1e-6
        red, green, blue = change.permute(1, 0, 2, 3)
        assert torch.equal(green, blue)
        torch.testing.assert_close(red, green * 175 / 238)
        assert wet / 2 < (green > 1e-4).float().mean() < 1.1 * wet, "some of a drop is in shade"
        brightest = [intensity * 238 / 255] * 30
        assert green.amax(dim=(1, 2)).tolist() == pytest.approx(brightest, abs=1e-5)
    for severity in (4, 5):
        out = corrupt(flat(1.0, 30), "spatter", severity)
        assert out[out < 1].max() < 1 - 0.8 * (1 - 63 / 255) + 1e-6
        assert out[:, 2].min().item() == pytest.approx(20 / 255, abs=0.03)


def test_a_drop_has_a_rim_one_pixel_wide() -> None:
    drop = np.zeros((2, 20, 20))
    drop[0, 6:15, 5:14] = 200
    rims = _rims(drop)
    assert rims[0, 10].nonzero()[0].tolist() == [4, 13]
    assert rims[0, :, 9].nonzero()[0].tolist() == [5, 14]
    assert not rims[1].any()


def test_elastic_moves_the_corners_points() -> None:
    # Severity 1 is affine alone: coordinates stay planes wherever the image is not mirrored.
    x = torch.linspace(0, 1, 32).expand(20, 3, 32, 32).clone()
    x[:, 1] = x[:, 0].transpose(1, 2)
    out = corrupt(x, "elastic_transform", 1)[:, :2, 10:22, 10:22].double()
    for axis in (2, 3):
        bend = out.diff(n=2, dim=axis).abs().amax().item()
        assert bend < 1e-5, "a plane"
    shift = (out - x[:, :2, 10:22, 10:22]).abs().mean() * 31
    assert 0.5 < shift < 2.56
    bent = corrupt(x, "elastic_transform", 5)[:, :2, 10:22, 10:22].double()
    assert bent.diff(n=2, dim=3).abs().mean() > 1e-3


# Bad input.

GOOD: dict[str, Any] = {"x": flat(0.5, 2), "name": "fog", "severity": 1, "seed": 0, "first": 0}


@pytest.mark.parametrize(
    ("argument", "value", "found"),
    [
        ("x", [0.5], "list"),
        ("x", flat(0.5).byte(), "torch.uint8"),
        ("x", flat(0.5)[0], "(3, 32, 32)"),
        ("x", flat(0.5)[:, :1], "(8, 1, 32, 32)"),
        ("x", flat(0.5)[:, :, :15], "(8, 3, 15, 32)"),
        ("x", flat(0.5)[..., :15], "(8, 3, 32, 15)"),
        ("x", flat(0.5)[:0], "(0, 3, 32, 32)"),
        ("x", flat(1.5), "1.5 to 1.5"),
        ("x", flat(-0.5), "-0.5 to -0.5"),
        ("x", flat(float("nan")), "nan"),
        ("name", "rain", "'rain'"),
        ("name", None, "None"),
        ("severity", 0, "0"),
        ("severity", 6, "6"),
        ("severity", 2.5, "2.5"),
        ("severity", 2.0, "2.0"),
        ("severity", True, "True"),
        ("severity", "3", "'3'"),
        ("seed", -1, "-1"),
        ("seed", 1.0, "1.0"),
        ("seed", True, "True"),
        ("first", -1, "-1"),
        ("first", None, "None"),
    ],
)
def test_bad_input_is_named(argument: str, value: Any, found: str) -> None:
    with pytest.raises(ValueError, match=rf"^{argument}: .*found .*{re.escape(found)}"):
        corrupt(**{**GOOD, argument: value})


@settings(max_examples=150)
@given(data=st.data())
def test_any_input_works_or_is_refused_by_name(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.sampled_from([0, 1, 2, 3, 15, 16, 17, 20]), max_size=5))
    if data.draw(st.booleans()):
        shape = [2, 3, data.draw(st.integers(14, 20)), data.draw(st.integers(14, 20))]
    value = data.draw(st.sampled_from([0, 0.5, 1, -1e-6, 1.001, float("nan"), float("inf")]))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64, torch.float16, torch.int64]))
    filled = 0 if dtype == torch.int64 else value
    junk = st.one_of(st.none(), st.integers(-2, 9), st.floats(), st.text(max_size=3))
    arguments = {
        "x": torch.full(shape, filled, dtype=dtype),
        "name": data.draw(st.one_of(st.sampled_from(NAMES), junk)),
        "severity": data.draw(st.one_of(st.sampled_from(SEVERITIES), junk)),
        "seed": data.draw(st.one_of(st.integers(0, 2**70), junk)),
        "first": data.draw(st.one_of(st.integers(0, 2**70), junk)),
    }
    refusal = ""
    try:
        out = corrupt(**arguments)
    except ValueError as error:
        refusal = str(error)
    if refusal:
        assert re.match(r"(x|name|severity|seed|first): .*found", refusal)
    else:
        assert out.shape == arguments["x"].shape
        assert 0 <= out.min() <= out.max() <= 1


# The released arrays, here small ones.


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with arrays of 4 images a severity; the value says image and severity."""
    monkeypatch.setattr(released, "IMAGES", 4)
    folder = tmp_path / "CIFAR-10-C"
    folder.mkdir()
    images = np.arange(20, dtype=np.uint8)[:, None, None, None] + np.zeros((20, 32, 32, 3))
    images[..., 1] += 100
    images[..., 2] = np.arange(32)[:, None]
    np.save(folder / "fog.npy", images.astype(np.uint8))
    np.save(folder / "labels.npy", np.tile(np.array([3, 8, 8, 0]), 5).astype(np.uint8))
    return tmp_path


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_severity_is_its_rows(release: Path, severity: int) -> None:
    s = load_cifar10c(release, "fog", severity)
    assert (s.name, s.split, len(s)) == (f"cifar10-c/fog/{severity}", "test", 4)
    assert s.pixels.shape == (4, 3, 32, 32)
    assert s.pixels.dtype == torch.uint8
    rows = list(range(4 * (severity - 1), 4 * severity))
    assert s.pixels[:, 0, 5, 9].tolist() == rows
    assert s.pixels[:, 1, 0, 31].tolist() == [100 + row for row in rows]
    assert s.pixels[0, 2, :, 7].tolist() == list(range(32)), "rows stay rows"
    assert s.labels.tolist() == [3, 8, 8, 0]
    assert s.labels.dtype == torch.int64
    assert s.class_names[3] == "cat"
    s.pixels.zero_()  # a copy: the file stays as it is
    assert load_cifar10c(release, "fog", severity).pixels.any()


def test_labels_may_be_of_any_whole_type(release: Path) -> None:
    np.save(release / "CIFAR-10-C" / "labels.npy", np.arange(20) % 4)
    assert load_cifar10c(str(release), "fog", 2).labels.tolist() == [0, 1, 2, 3]


def test_the_release_is_found_by_its_variable(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARTLIB_DATA", str(release))
    assert len(load_cifar10c(None, "fog", 1)) == 4


def test_a_missing_release_says_what_to_do(tmp_path: Path, release: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no .*snow\.npy.*CIFAR-10-C\.tar of Zenodo"):
        load_cifar10c(release, "snow", 1)
    (release / "CIFAR-10-C" / "labels.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"labels\.npy"):
        load_cifar10c(release, "fog", 1)


@pytest.mark.parametrize(
    ("file", "array", "found"),
    [
        ("fog", np.zeros((10, 32, 32, 3), np.uint8), "uint8 (10, 32, 32, 3)"),
        ("fog", np.zeros((20, 3, 32, 32), np.uint8), "uint8 (20, 3, 32, 32)"),
        ("fog", np.zeros((20, 32, 32, 3), np.float32), "float32"),
        ("labels", np.zeros(19, np.uint8), "uint8 (19,)"),
        ("labels", np.zeros(20), "float64"),
        ("labels", np.full(20, 10), "10 to 10"),
        ("labels", np.full(20, -1), "-1 to -1"),
        ("fog", np.array([{}]), "no readable array"),  # never unpickled
    ],
)
def test_a_wrong_array_is_refused(release: Path, file: str, array: Any, found: str) -> None:
    np.save(release / "CIFAR-10-C" / f"{file}.npy", array)
    with pytest.raises(ValueError, match=rf"^root: .*needed, found {re.escape(found)}.*{file}"):
        load_cifar10c(release, "fog", 1)


@pytest.mark.parametrize("kept", [0, 100, 5000])
def test_a_cut_file_is_refused(release: Path, kept: int) -> None:
    path = release / "CIFAR-10-C" / "fog.npy"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"^root: .*no readable array in .*fog"):
        load_cifar10c(release, "fog", 1)


def test_an_archive_is_refused(release: Path) -> None:
    path = release / "CIFAR-10-C" / "fog.npy"
    with path.open("wb") as file:
        np.savez(file, fog=np.zeros(3))
    with pytest.raises(ValueError, match=r"^root: .*found NpzFile"):
        load_cifar10c(release, "fog", 1)


def test_no_such_corruption_or_severity_is_named(release: Path) -> None:
    with pytest.raises(ValueError, match=r"^name: .*found 'rain'"):
        load_cifar10c(release, "rain", 1)
    with pytest.raises(ValueError, match=r"^severity: .*found 6"):
        load_cifar10c(release, "fog", 6)
