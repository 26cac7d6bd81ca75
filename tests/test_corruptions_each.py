"""Corruptions: each of the simple ones against its definition."""

import io
from typing import Any

import matplotlib.colors
import numpy as np
import pytest
import torch
from corrupted import flat, levels
from PIL import Image
from scipy import ndimage, stats
from torch import Tensor

from partlib.corruptions import SEVERITIES, corrupt, primitives
from partlib.corruptions.weather import _rims, ice


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
