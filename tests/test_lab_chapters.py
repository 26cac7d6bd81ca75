"""The attack lab in the chapters, where it opens when asked."""

from pathlib import Path
from typing import Any

import pytest
from lab_page import PANELS, Lab, check_panel, needs_browser
from markdown_it import MarkdownIt

from tools import notebooks, slides

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
