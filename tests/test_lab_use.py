"""The attack lab as a reader uses it: pictures, maps and brush, with the mouse and with keys."""

import html
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_page import CHECKS, Lab, needs_browser

from partlib import data


@needs_browser
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_lab_by_itself(fresh: Lab, check: Callable[[Lab], None]) -> None:
    check(fresh)


@needs_browser
def test_tab_reaches_the_lab(fresh: Lab) -> None:
    fresh.page.keyboard.press("Tab")
    assert fresh.page.evaluate("document.activeElement.matches('.attack-lab input:checked')")


@pytest.mark.slow
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


@pytest.mark.slow
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
def test_while_a_network_loads_the_old_result_is_faint(fresh: Lab) -> None:
    def opacity() -> float:
        script = "getComputedStyle(document.querySelector('.lab-verdict')).opacity"
        return float(fresh.page.evaluate(script))

    assert opacity() == 1
    held = fresh.hold("weights-at.js")
    fresh.pick("Network", "AT", wait=False)
    fresh.page.wait_for_timeout(500)
    assert opacity() == 0.5
    fresh.asked_for(held).continue_()
    fresh.settle()
    fresh.page.wait_for_timeout(100)
    assert opacity() == 1


@needs_browser
def test_few_open_pixels_are_counted(fresh: Lab) -> None:
    for button in ("ε everywhere", "Invert"):
        fresh.press(button)
    assert "100 % forbidden, 0 pixels open" in fresh.figures
    fresh.slide("Brush", 1)
    fresh.pick("Brush paints", "2 ε")
    fresh.page.get_by_role("application").focus()
    fresh.page.keyboard.press(" ")
    fresh.settle()
    assert "100 % forbidden, 1 pixel open" in fresh.figures


@needs_browser
def test_inverted_twice_is_as_it_was(fresh: Lab) -> None:
    fresh.page.get_by_role("application").focus()
    fresh.page.keyboard.press(" ")
    fresh.settle()
    fresh.page.keyboard.press("Tab")
    for end, forbidden in ((", inverted", 98), ("", 2)):
        fresh.press("Invert")
        assert fresh.place == f"Budget map: painted{end}"
        assert f"{forbidden} % forbidden" in fresh.figures


@needs_browser
def test_the_digit_is_what_is_more_than_half_ink(fresh: Lab) -> None:
    fresh.press("The digit")
    ink = (data.load("scene-digits", "test").masks > 0.5).sum(dim=(1, 2)).tolist()
    (open_,) = re.findall(r"(\d+) pixels open", fresh.figures)
    assert int(open_) in ink
    assert int(open_) < 150
    fresh.press("Invert")
    assert f"{1024 - int(open_)} pixels open" in fresh.figures


@needs_browser
def test_nothing_is_called_cut_off_that_fits(fresh: Lab) -> None:
    fresh.page.get_by_role("application").focus()
    fresh.pick("Brush paints", "2 ε")
    fresh.page.get_by_role("application").focus()
    fresh.page.keyboard.press(" ")
    fresh.settle()
    fresh.slide("ε", 16)
    assert "grey: no change; cut off" in fresh.figures
    fresh.pick("Attack", "PGD")
    fresh.slide("Steps", 1)
    assert "cut off" not in fresh.figures


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
    assert "with scripts switched on, a lab opens here" in shown
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
    assert "with scripts switched on" not in shown
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
