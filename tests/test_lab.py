"""The attack lab in a real browser, held against partlib on the same images."""

import gzip
import html
import json
import os
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import torch
from markdown_it import MarkdownIt
from torch import Tensor

from partlib import attacks, budgets, cam, data, models, zoo
from tools import lab, notebooks, pdf, slides, vendor
from tools.notebooks import ROOT

CHROMIUM = next(filter(None, map(shutil.which, pdf.BROWSERS)), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the lab in")
MODELS = ("natural", "at", "part")
EPS, STEP = 8 / 255, 2 / 255
SOURCE = ROOT / "book" / "lab.md"


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


class Lab:
    """A page with the lab in a browser, and what happened in it.

    It drives the page of these tests and that of the rendered book alike.
    """

    def __init__(self, page: Any, url: str, *, wait: bool = True) -> None:
        self.page = page
        self.problems: list[str] = []
        self.requests: list[str] = []
        page.on("console", self.heard)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.set_default_timeout(120_000)  # on a busy machine
        # Files of a page that was opened without any route cannot be held or blocked later.
        page.route("**/no-such-file", lambda route: route.abort())
        page.goto(url)
        if wait:
            self.settle()

    def heard(self, message: Any) -> None:
        if message.type == "error":
            self.problems.append(message.text)

    def settle(self) -> None:
        self.page.wait_for_selector('.attack-lab[aria-busy="false"]', timeout=60_000)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.page.evaluate(f"([a, b, c, d]) => {{ {script} }}", arguments)

    def pick(self, legend: str, label: str, *, wait: bool = True) -> None:
        group = self.page.get_by_role("group", name=legend, exact=True)
        group.get_by_role("radio", name=label, exact=True).check(force=True)
        if wait:
            self.settle()

    def slide(self, label: str, value: float) -> None:
        self.page.get_by_role("slider", name=label).fill(str(value))
        self.settle()

    def press(self, button: str, *, wait: bool = True) -> None:
        self.page.get_by_role("button", name=button, exact=True).click()
        if wait:
            self.settle()

    def hold(self, script: str) -> list[Any]:
        """Keep a script from loading; what is asked for lies in the list, to be let go."""
        held: list[Any] = []
        self.page.route(f"**/{script}", lambda route: held.append(route))
        return held

    def asked_for(self, held: list[Any]) -> Any:
        """What is held back, once the page has asked for it."""
        for _ in range(200):
            if held:
                return held.pop()
            self.page.wait_for_timeout(50)
        raise AssertionError("the page did not ask for it")

    def words(self, selector: str) -> str:
        return str(self.page.inner_text(selector)).replace("\u00a0", " ")

    @property
    def verdict(self) -> str:
        return self.words(".lab-verdict")

    @property
    def figures(self) -> str:
        return self.words(".lab-figures")

    @property
    def place(self) -> str:
        return self.words(".lab-place")

    def pixels(self, title: str) -> list[int]:
        heading = self.page.get_by_text(title, exact=True)
        figure = self.page.locator(".attack-lab figure").filter(has=heading).locator("canvas")
        return list(
            figure.evaluate(
                "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
            )
        )


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's part of book/lab.md as a page of its own, beside its scripts."""
    folder = tmp_path_factory.mktemp("lab")
    lab.export(folder / "_static" / "lab")
    shutil.copytree(ROOT / "book" / "_static", folder / "_static", dirs_exist_ok=True)
    text = SOURCE.read_text()
    raw = re.search(r"```\{raw\} html\n(.*?)```", text, re.DOTALL)
    assert raw
    sets = "".join(re.findall(r"<button.*?</button>", text, re.DOTALL))
    panel = re.search(r":::\{div\} attack-lab\n.*```\n\n(.*?)\n:::", text, re.DOTALL)
    assert panel
    page = folder / "book" / "lab.html"
    page.parent.mkdir()
    page.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Lab</title>'
        '<meta name="viewport" content="width=device-width">'
        "<style>:root { --pst-color-border: #777; --pst-color-background: #fff; "
        "--pst-color-text-base: #222; --pst-color-text-muted: #555; --pst-color-surface: #eee; "
        "--pst-color-primary: #0a58ca }</style>"
        f'<main><h1>Lab</h1><div class="attack-lab"><p>{panel[1]}</p></div>{sets}</main>'
        f"{raw[1]}</html>"
    )
    return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def opened(browser: Any, page_file: Path) -> Lab:
    """One page for the tests that only compute."""
    return Lab(browser.new_page(), page_file.as_uri())


@pytest.fixture
def fresh(browser: Any, page_file: Path) -> Iterator[Lab]:
    """A page of its own, which must end without an error or a request to elsewhere."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    found = Lab(page, page_file.as_uri())
    yield found
    page.close()
    assert found.problems == []
    assert [url for url in found.requests if not url.startswith(("file:", "blob:", "data:"))] == []


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


# These hold for any page with the lab, that of the rendered book too.


def check_fgsm(lab: Lab) -> None:
    """FGSM fools the natural network, and mostly not the robust one."""
    count = {}
    for name in ("Natural", "AT"):
        lab.pick("Network", name)
        count[name] = 0
        for digit in data.load("scene-digits", "test", n=1).class_names:
            lab.pick("Picture", f"a {digit}")
            assert digit in lab.verdict
            count[name] += lab.verdict.startswith("Fooled")
    assert count["Natural"] >= 8
    assert count["AT"] <= 5


def check_painted_zero(lab: Lab) -> None:
    """A painted budget of zero leaves the image untouched."""
    assert lab.pixels("Image") != lab.pixels("Adversarial image")
    lab.pick("Brush paints", "0")
    lab.slide("Brush", 11)
    canvas = lab.page.get_by_role("application")
    canvas.evaluate("canvas => canvas.scrollIntoView({ block: 'center' })")
    box = canvas.bounding_box()
    for i in range(8):  # strokes to and fro
        y = box["y"] + box["height"] * min(0.99, i / 7)
        lab.page.mouse.move(box["x"] + 2, y)
        lab.page.mouse.down()
        lab.page.mouse.move(box["x"] + box["width"] - 2, y)
        lab.page.mouse.up()
    lab.settle()
    assert "100 % forbidden" in lab.figures
    for attack in ("FGSM", "PGD"):
        lab.pick("Attack", attack)
        assert lab.pixels("Image") == lab.pixels("Adversarial image")
        assert set(lab.pixels("Perturbation × 8")) == {128, 255}  # grey, and opaque
        assert lab.verdict.startswith("Holds")
        assert "The budget is 0" in lab.verdict


def check_keyboard(lab: Lab) -> None:
    """The keyboard alone works the lab, from its first picture on."""
    keys = lab.page.keyboard
    lab.page.locator(".attack-lab input:checked").first.focus()
    seen = []
    for _ in range(30):
        focused = lab.page.evaluate(
            "[document.activeElement.type ?? document.activeElement.localName, "
            "document.activeElement.name ?? '']"
        )
        seen.append(focused[0])
        if focused[0] == "canvas":
            break
        keys.press("Tab")
    assert seen == ["radio", "radio", "radio", "range", "canvas"]  # FGSM has one slider
    for key in ("ArrowRight", "Shift+ArrowDown"):
        keys.press(key)
    assert lab.place == "Row 21, column 18: budget 8/255"
    keys.press(" ")
    lab.settle()
    assert lab.place == "Row 21, column 18: budget 0/255"
    assert "2 % forbidden" in lab.figures  # 25 of 1024
    keys.down(" ")
    keys.press("Shift+ArrowDown")
    keys.up(" ")
    lab.settle()
    assert "4 % forbidden" in lab.figures  # 9 x 5
    for _ in range(4):
        keys.press("Shift+Tab")
    keys.press("ArrowRight")
    lab.settle()
    assert "four" in lab.verdict
    keys.press("Tab")
    keys.press("ArrowRight")
    lab.settle()
    assert " AT " in lab.verdict
    keys.press("Tab")
    keys.press("ArrowRight")
    lab.settle()
    assert lab.page.get_by_role("slider", name="Step size").is_enabled()
    keys.press("Tab")
    keys.press("Home")
    lab.settle()
    assert "The budget is 0" in lab.verdict
    assert lab.page.get_by_role("slider", name="ε").get_attribute("aria-valuetext") == "0/255"


CHECKS = (check_fgsm, check_painted_zero, check_keyboard)


@needs_browser
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_lab_by_itself(fresh: Lab, check: Callable[[Lab], None]) -> None:
    check(fresh)


@needs_browser
def test_tab_reaches_the_lab(fresh: Lab) -> None:
    fresh.page.keyboard.press("Tab")
    assert fresh.page.evaluate("document.activeElement.matches('.attack-lab input:checked')")


@needs_browser
def test_sliders_maps_and_set_ups_change_the_prediction(fresh: Lab) -> None:
    assert fresh.verdict.startswith("Fooled")
    fresh.slide("ε", 0)
    assert fresh.verdict.startswith("Holds")
    fresh.slide("ε", 8)
    assert fresh.verdict.startswith("Fooled")
    for button in ("ε everywhere", "Invert"):
        fresh.press(button)
    assert fresh.verdict.startswith("Holds")
    for quarter in ("upper left", "upper right", "lower right", "lower left"):
        fresh.press("Forbid a quarter")
        assert fresh.words(".lab-place").endswith(quarter)
        assert "25 % forbidden" in fresh.figures
    budget = fresh.pixels("Budget: paint here")
    for button in ("Important (CAM)", "PART: 7/8 elsewhere", "The digit"):
        fresh.press(button)
        assert fresh.pixels("Budget: paint here") != budget
        budget = fresh.pixels("Budget: paint here")
    for button in fresh.page.locator("button.lab-set").all():
        settings = json.loads(html.unescape(button.get_attribute("data-lab")))
        button.click()
        fresh.settle()
        shown = fresh.page.get_by_role("slider", name="ε").input_value()
        assert float(shown) == settings.get("eps", 8)


@needs_browser
def test_a_map_follows_the_picture_and_the_network(fresh: Lab) -> None:
    """After a change the map is the one that pressing its button again would give."""

    def seen() -> tuple[str, list[int]]:
        return fresh.place, fresh.pixels("Budget: paint here")

    # Another network than the one of the map, another picture, and back.
    changes = [("Network", "AT"), ("Picture", "a one"), ("Network", "Natural")]
    for buttons in (["Important (CAM)"], ["PART: 7/8 elsewhere"], ["The digit", "Invert"]):
        for button in buttons:
            fresh.press(button)
        name = ", ".join([buttons[0], *["inverted"][: len(buttons) - 1]])
        for legend, label in changes:
            fresh.pick(legend, label)
            followed = seen()
            assert followed[0] == f"Budget map: {name}"
            for button in buttons:
                fresh.press(button)
            assert seen() == followed, (buttons, label)
        fresh.pick("Picture", "a three")


@needs_browser
def test_what_is_painted_stays(fresh: Lab) -> None:
    fresh.press("The digit")
    fresh.page.get_by_role("application").focus()
    fresh.page.keyboard.press(" ")
    fresh.settle()
    assert fresh.place.startswith("Row 17, column 17")
    forbidden = re.findall(r"\d+ % forbidden", fresh.figures)
    fresh.pick("Picture", "a one")
    fresh.pick("Network", "AT")
    assert re.findall(r"\d+ % forbidden", fresh.figures) == forbidden
    assert fresh.place == "Budget map: painted"


@needs_browser
def test_the_place_line_keeps_up_with_the_budget(fresh: Lab) -> None:
    fresh.page.get_by_role("application").focus()
    assert fresh.place == "Row 17, column 17: budget 8/255"
    fresh.run("const e = document.querySelector('[type=range]'); e.value = 4; e.oninput()")
    fresh.settle()
    assert fresh.place == "Row 17, column 17: budget 4/255"


@needs_browser
def test_clicks_and_strokes_count_while_a_network_loads(fresh: Lab) -> None:
    held = fresh.hold("weights-at.js")
    fresh.pick("Network", "AT", wait=False)
    for quarter in ("upper left", "upper right"):
        fresh.press("Forbid a quarter", wait=False)
        assert fresh.place == f"Budget map: Forbid a quarter: {quarter}"
    fresh.page.get_by_role("application").focus()
    fresh.page.keyboard.press(" ")
    painted = re.findall(r"\d+ % forbidden", fresh.figures)
    assert painted == ["27 % forbidden"]  # 256 and 25 of 1024, 4 of them twice
    fresh.asked_for(held).continue_()
    fresh.settle()
    assert " AT " in fresh.verdict
    assert re.findall(r"\d+ % forbidden", fresh.figures) == painted


@needs_browser
def test_a_map_of_the_cam_waits_for_the_network(fresh: Lab) -> None:
    held = fresh.hold("weights-at.js")
    fresh.pick("Network", "AT", wait=False)
    for button in ("Important (CAM)", "Invert"):
        fresh.press(button, wait=False)
    waiting = "Budget map: Important (CAM), inverted"
    assert fresh.place == f"{waiting}, waiting for the network"
    fresh.asked_for(held).continue_()
    fresh.settle()
    assert fresh.place == waiting
    budget = fresh.pixels("Budget: paint here")
    for button in ("Important (CAM)", "Invert"):
        fresh.press(button)
    assert fresh.pixels("Budget: paint here") == budget


@pytest.fixture
def troubled(browser: Any, page_file: Path) -> Iterator[Lab]:
    """A page of its own for what goes wrong on purpose."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    yield Lab(page, page_file.as_uri())
    page.close()


@needs_browser
def test_a_late_failure_leaves_a_newer_result(troubled: Lab) -> None:
    held = troubled.hold("weights-at.js")
    troubled.pick("Network", "AT", wait=False)
    weights = troubled.asked_for(held)
    troubled.pick("Network", "Natural")
    before = troubled.verdict
    assert before.startswith("Fooled: Natural")
    weights.abort()
    troubled.page.wait_for_timeout(500)
    assert troubled.verdict == before


@needs_browser
def test_a_failure_leaves_no_old_result(troubled: Lab) -> None:
    assert troubled.page.locator(".lab-fooled").count() == 1
    troubled.page.route("**/weights-at.js", lambda route: route.abort())
    troubled.pick("Network", "AT")
    assert troubled.verdict.startswith("The lab stopped: the weights of AT did not load.")
    assert troubled.page.locator(".lab-fooled").count() == 0
    assert "important" not in troubled.figures
    assert set(troubled.pixels("Adversarial image")) == {0}
    assert not troubled.page.locator(".lab-classes").is_visible()
    troubled.page.unroute("**/weights-at.js")
    troubled.slide("ε", 7)  # any change tries again
    assert " AT " in troubled.verdict
    assert troubled.page.locator(".lab-classes").is_visible()


@needs_browser
def test_a_failed_attack_leaves_no_tensors(troubled: Lab) -> None:
    troubled.slide("ε", 7)
    before = troubled.run("return tf.memory().numTensors")
    troubled.run("lab.fgsm = () => { throw new Error('no gradient'); }")
    troubled.slide("ε", 6)
    assert troubled.verdict.startswith("The lab stopped: no gradient.")
    assert troubled.run("return tf.memory().numTensors") == before


@needs_browser
def test_without_scripts_the_page_says_what_is_missing(browser: Any, page_file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    shown = page.inner_text("main")
    assert "With scripts switched on, a lab opens here" in shown
    assert "Set up" not in shown  # buttons that would do nothing
    context.close()


@needs_browser
@pytest.mark.parametrize("script", ["tf.es2017.min", "images", "model", "view"])
def test_a_missing_script_is_named(browser: Any, page_file: Path, script: str) -> None:
    page = browser.new_page()
    page.route(f"**/{script}.js", lambda route: route.abort())
    page.goto(page_file.as_uri())
    page.wait_for_selector(".attack-lab [role=alert]", timeout=20_000)
    shown = page.inner_text("main")
    assert f"The lab could not start: {script}.js did not load." in shown
    assert "With scripts switched on" not in shown
    assert "Set up" not in shown
    page.close()


@needs_browser
@pytest.mark.parametrize("script", ["wasm", "tf-backend-wasm.es2017.min"])
def test_without_web_assembly_plain_javascript_computes(
    browser: Any, page_file: Path, script: str
) -> None:
    page = browser.new_page()
    page.route(f"**/{script}.js", lambda route: route.abort())
    found = Lab(page, page_file.as_uri())
    assert found.run("return tf.getBackend()") == "cpu"
    assert found.verdict.startswith("Fooled")
    page.close()


@needs_browser
def test_the_brush_leaves_other_buttons_and_keys_alone(fresh: Lab) -> None:
    canvas = fresh.page.get_by_role("application")
    canvas.scroll_into_view_if_needed()
    for button in ("right", "middle"):
        canvas.click(button=button)
    canvas.click(modifiers=["Control"])  # a Mac's right button
    fresh.settle()
    assert " 0 % forbidden" in fresh.figures
    canvas.focus()
    place = fresh.place
    for modifier in ("altKey", "ctrlKey", "metaKey"):
        taken = canvas.evaluate(
            "(canvas, modifier) => !canvas.dispatchEvent(new KeyboardEvent('keydown', "
            "{ key: 'ArrowLeft', [modifier]: true, bubbles: true, cancelable: true }))",
            modifier,
        )
        assert not taken, modifier
    assert fresh.place == place
    canvas.click()
    fresh.settle()
    assert " 2 % forbidden" in fresh.figures


@needs_browser
def test_high_contrast_shows_what_is_checked(browser: Any, page_file: Path) -> None:
    context = browser.new_context(forced_colors="active")
    found = Lab(context.new_page(), page_file.as_uri())
    look = (
        "(spans) => spans.map((s) => { const { outlineStyle, backgroundColor } = "
        "getComputedStyle(s); return outlineStyle + backgroundColor })"
    )
    for group in (".lab-thumbs", ".lab-choice"):
        checked, rest = (
            set(found.page.locator(f"{group} input{which} + span").evaluate_all(look))
            for which in (":checked", ":not(:checked)")
        )
        assert not checked & rest, group
    bars = found.page.locator(".lab-classes i")
    bar, ground = (
        e.evaluate("e => getComputedStyle(e).backgroundColor")
        for e in (bars.first, found.page.locator("body"))
    )
    assert bar != ground
    context.close()


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
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_page(browser: Any, page_file: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    Lab(page, page_file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@needs_browser
def test_accessibility(fresh: Lab) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # Without preload: a page from a disk may not read its own style sheets.
    found = axe.Axe().run(fresh.page, options={"preload": False}).response["violations"]
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in serious] == []


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


# The chapters' panels.

PANELS = {  # the chapter's file, and how its lab starts
    "01-adversarial-examples": ("Natural", "FGSM", "ε everywhere"),
    "03-pgd": ("AT", "PGD", "ε everywhere"),
    "06-quadrants": ("AT", "PGD", "Forbid a quarter: upper left"),
    "07-part": ("PART", "PGD", "PART: 7/8 elsewhere"),
}
each_panel = pytest.mark.parametrize("name", PANELS)


def paragraph(name: str) -> str:
    """The paragraph of a chapter that has a place for the lab."""
    text = (notebooks.CHAPTERS / f"{name}.md").read_text()
    (found,) = [block for block in text.split("\n\n") if "lab-here" in block]
    return found


def chapter_page(name: str, page_file: Path) -> str:
    """The address of that paragraph as a page."""
    body = MarkdownIt().render(paragraph(name)).replace("lab.md", "lab.html")
    page = page_file.parents[1] / "notebooks" / f"{name}.html"
    notebooks.write(
        page,
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>A chapter</title>'
        f"<main><h1>A chapter</h1>{body}<p>More.</p></main>"
        '<script defer src="../_static/lab/open.js"></script></html>',
    )
    return page.as_uri()


def check_panel(lab: Lab, name: str) -> None:
    """A chapter opens the lab when asked, as it says, and loads nothing for it before."""
    lab.page.wait_for_load_state("networkidle")
    before = [urlsplit(url).path for url in lab.requests if "/lab/" in url]
    assert [Path(path).name for path in before] == ["open.js"]
    lab.press("Open the lab here")
    model, attack, map_ = PANELS[name]
    assert f": {model} " in lab.verdict
    assert lab.page.get_by_role("radio", name=attack, exact=True).is_checked()
    assert lab.place == f"Budget map: {map_}"
    assert lab.page.locator("button", has_text="Open the lab").count() == 0
    assert lab.page.evaluate("document.activeElement.className") == "attack-lab"
    assert lab.page.locator("p + .attack-lab").count() == 1


@needs_browser
@each_panel
def test_a_chapter_opens_the_lab_when_asked(browser: Any, page_file: Path, name: str) -> None:
    page = browser.new_page()
    found = Lab(page, chapter_page(name, page_file), wait=False)
    check_panel(found, name)
    page.close()
    assert found.problems == []


@needs_browser
@each_panel
def test_a_chapter_without_scripts_links_to_the_lab(
    browser: Any, page_file: Path, name: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(chapter_page(name, page_file))
    assert (
        page.get_by_role("link", name="the attack lab").get_attribute("href").endswith("lab.html")
    )
    assert page.get_by_role("button").count() == 0
    context.close()


@each_panel
def test_a_slide_has_the_question_alone(name: str) -> None:
    shown = slides.in_short(paragraph(name), False)
    assert shown.endswith("?")
    assert "lab" not in shown


@needs_browser
def test_a_chapter_tells_that_its_lab_cannot_start(browser: Any, page_file: Path) -> None:
    page = browser.new_page()
    found = Lab(page, chapter_page("03-pgd", page_file), wait=False)
    page.route("**/images.js", lambda route: route.abort())
    found.press("Open the lab here")
    assert "The lab could not start: images.js did not load." in page.inner_text("main")
    assert page.get_by_role("link", name="the attack lab").is_visible()
    page.close()
