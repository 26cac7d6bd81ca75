"""A page with the attack lab in a browser: what drives it, and what holds wherever it stands."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from partlib import data
from tools import lab, pdf
from tools.notebooks import ROOT

CHROMIUM = next(filter(None, map(shutil.which, pdf.BROWSERS)), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the lab in")
SOURCE = ROOT / "book" / "lab.md"


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

PANELS = {  # the chapter's file, and how its lab starts
    "01-adversarial-examples": ("Natural", "FGSM", "ε everywhere"),
    "03-pgd": ("AT", "PGD", "ε everywhere"),
    "06-quadrants": ("AT", "PGD", "Forbid a quarter: upper left"),
    "07-part": ("PART", "PGD", "PART: 7/8 elsewhere"),
}


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
