"""The attack lab in a real browser, held against partlib on the same images."""

import gzip
import json
import os
import shutil
import statistics
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from lab_page import Lab, needs_browser
from torch import Tensor

from partlib import attacks, budgets, cam, data, models, zoo
from tools import lab, vendor

MODELS = ("natural", "at", "part")
EPS, STEP = 8 / 255, 2 / 255


# The page's parts, without a browser.


def test_vendored_files_are_those_of_the_list() -> None:
    packages = json.loads(vendor.PACKAGES.read_text())
    named = {Path(n).name: v for package in packages for n, v in package["files"].items()}
    files = {p.name for p in vendor.VENDOR.iterdir()}
    assert files == {*named, "packages.json", "LICENSE-tensorflowjs", "LICENSE-reveal"}
    for name, wanted in named.items():
        assert vendor.integrity((vendor.VENDOR / name).read_bytes()) == wanted, name


@pytest.mark.parametrize(
    "package", json.loads(vendor.PACKAGES.read_text()), ids=lambda p: p["name"]
)
def test_the_list_is_that_of_the_registry(package: dict[str, Any]) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm to ask the registry with")
    release = f"{package['name']}@{package['version']}"
    command = [npm, "view", release, "dist.integrity", "license", "--json", "--fetch-retries=0"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if answer.returncode:
        pytest.skip("the registry does not answer")
    found = {"dist.integrity": package["integrity"], "license": package["license"]}
    assert json.loads(answer.stdout) == found


def test_a_network_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="model: the form of `small` is needed, found"):
        lab.network(models.build("resnet18", 10))


def test_export_leaves_the_network_as_it_was() -> None:
    model = zoo.load("natural")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lab.network(model)
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])


# The browser.


@pytest.fixture(scope="module")
def test_set() -> data.ImageSet:
    return data.load("scene-digits", "test", n=20)


COMPUTE = """
const [name, pixels, labels, settings] = [a, b, c, d];
return lab.network(name).then(async (net) => {
  const x = tf.tensor(pixels, [labels.length, 32, 32, 3]);
  const budget = tf.tensor(settings.budget, [1, 32, 32, 1]);
  const adversarial = await lab.pgd(net, x, labels, budget, settings);
  const gradient = lab.gradient(net, x, labels);
  return {
    backend: tf.getBackend(),
    logits: net.logits(x).arraySync(),
    gradient: gradient.arraySync(),
    heat: lab.cam(net, x).arraySync(),
    important: lab.cam(net, x).arraySync().map((map) => [...lab.important(map.flat())]),
    fgsm: lab.fgsm(net, x, labels, budget).arraySync(),
    pgd: adversarial.arraySync(),
  };
});
"""


def in_browser(page: Lab, name: str, x: Tensor, y: Tensor, budget: Tensor) -> dict[str, Tensor]:
    settings = {"stepSize": STEP, "steps": 10, "budget": budget.flatten().tolist()}
    flat = x.permute(0, 2, 3, 1).flatten().tolist()
    found = page.run(COMPUTE, name, flat, y.tolist(), settings)
    assert found.pop("backend") == "wasm"
    tensors = {key: torch.tensor(value) for key, value in found.items()}
    for key in ("gradient", "fgsm", "pgd"):
        tensors[key] = tensors[key].permute(0, 3, 1, 2)
    return tensors


@pytest.mark.slow
@needs_browser
def test_the_browser_computes_what_partlib_computes(
    opened: Lab, test_set: data.ImageSet, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = test_set.images, test_set.labels
    budget = budgets.quadrants((32, 32), ul=EPS, ur=2 * EPS, bl=0.0, br=EPS / 2)
    same, one_step, told = 0, 0, []
    for name in MODELS:
        model = zoo.load(name)
        found = in_browser(opened, name, x, y, budget)
        leaf = x.clone().requires_grad_(True)
        logits = model(leaf)
        loss = torch.nn.functional.cross_entropy(logits, y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, leaf)
        clear = gradient.abs() > 1e-3 * gradient.abs().amax(dim=(1, 2, 3), keepdim=True)
        same_sign = gradient.sign() == found["gradient"].sign()
        signs = same_sign[clear].float().mean().item()
        all_signs = same_sign[gradient != 0].float().mean().item()
        fgsm = attacks.fgsm(model, x, y, budget)
        moves = (fgsm - x).sign() == (found["fgsm"] - x).sign()
        off = (logits - found["logits"]).abs().max().item()
        heat = cam.grad_cam(model, x)
        heat_off = (heat - found["heat"]).abs().max().item()
        assert off < 1e-3
        assert signs >= 0.99
        assert all_signs >= 0.99
        assert moves.float().mean() >= 0.99
        assert heat_off < 1e-3
        near = (heat - heat.mean(dim=(1, 2), keepdim=True)).abs() < 1e-5
        agree = cam.important(heat).flatten(1) == found["important"].bool()
        assert (agree | near.flatten(1)).all()
        for key in ("fgsm", "pgd"):
            x_adv = found[key]
            assert ((x_adv - x).abs() <= budget + 1e-6).all()
            assert 0 <= x_adv.min() <= x_adv.max() <= 1
        theirs = attacks.pgd(model, x, y, budget, step_size=STEP, steps=10, random_start=False)
        with torch.no_grad():
            same += int((model(theirs).argmax(1) == model(found["pgd"]).argmax(1)).sum())
            one_step += int((model(fgsm).argmax(1) == model(found["fgsm"]).argmax(1)).sum())
            assert (model(theirs).argmax(1) != y).any()  # the attack does something
        told.append(
            f"{name}: logits {off:.1e}, CAM {heat_off:.1e}; signs of the gradient {signs:.6f} "
            f"without the {(~clear).float().mean():.1%} below 1/1000 of the largest, "
            f"{all_signs:.6f} of all; of FGSM's change {moves.float().mean():.6f}"
        )
    total = len(y) * len(MODELS)
    assert min(same, one_step) >= 0.98 * total
    told.append(f"predictions that agree: PGD-10 {same}, FGSM {one_step} of {total}")
    with capsys.disabled():
        print("", *told, sep="\n  ")


@needs_browser
def test_plain_javascript_gives_the_same(browser: Any, page_file: Path) -> None:
    context = browser.new_context()
    context.add_init_script("delete window.WebAssembly")
    page = context.new_page()
    page.goto(page_file.as_uri())
    page.wait_for_selector('.attack-lab[aria-busy="false"]', timeout=60_000)
    assert page.evaluate("tf.getBackend()") == "cpu"
    words = page.inner_text(".lab-verdict")
    context.close()
    other = Lab(browser.new_page(), page_file.as_uri())
    assert words.replace("\u00a0", " ") == other.verdict
    other.page.close()


@needs_browser
def test_quarters_are_the_librarys(opened: Lab) -> None:
    for i, name in enumerate(("ul", "ur", "br", "bl")):
        each = {"ul": 1.0, "ur": 1.0, "bl": 1.0, "br": 1.0} | {name: 0.0}
        found = opened.run("return [...lab.maps.quarter(a)]", i)
        assert torch.equal(torch.tensor(found).view(32, 32), budgets.quadrants((32, 32), **each))


@needs_browser
def test_an_attack_answers_in_time(opened: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    script = """
    return lab.network("at").then(async (net) => {
      const x = tf.fill([1, 32, 32, 3], 0.5);
      const times = [];
      for (let i = 0; i < 5; i++) {
        const start = performance.now();
        const x_adv = await lab.pgd(net, x, [3], tf.scalar(8 / 255), { stepSize: 0.01, steps: 10 });
        x_adv.dataSync();
        times.push(performance.now() - start);
      }
      return times;
    });
    """
    median = statistics.median(opened.run(script))
    quiet = os.environ.get("QUIET_MACHINE") == "1"
    with capsys.disabled():
        print(f"\n  PGD-10 on one image: median {median:.0f} ms{'' if quiet else ', not alone'}")
    # 300 ms is the goal; ten times that where other work may run beside it.
    assert median <= (300 if quiet else 3000)


@needs_browser
def test_the_page_is_light(fresh: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    def total() -> float:
        paths = {Path(u.removeprefix("file://")) for u in fresh.requests if u.startswith("file:")}
        return sum(len(gzip.compress(p.read_bytes())) for p in paths) / 1e6

    first = total()
    fresh.pick("Network", "AT")
    fresh.pick("Network", "PART")
    with capsys.disabled():
        print(f"\n  The lab loads {first:.2f} MB, with all networks {total():.2f} MB, compressed")
    assert total() < 2.7
