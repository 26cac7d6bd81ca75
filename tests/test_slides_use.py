"""Slides in a browser: nothing is cut, and the number of a slide can be read."""

from pathlib import Path
from typing import Any

import pytest
from lab_page import needs_browser

from tools import slides

OVERFLOW = """() => {
  const slide = Reveal.getCurrentSlide();
  const boxes = [...slide.querySelectorAll("table")].map((table) => table.parentElement);
  return slide.scrollHeight > 700 || boxes.some((box) => box.scrollWidth > box.clientWidth);
}"""
NUMBER_UNDER_ARROWS = """() => {
  const number = document.querySelector(".slide-number").getBoundingClientRect();
  return [...document.querySelectorAll(".controls button")].some((button) => {
    const arrow = button.getBoundingClientRect();
    return number.right > arrow.left && number.left < arrow.right
      && number.bottom > arrow.top && number.top < arrow.bottom;
  });
}"""


@pytest.mark.slow
@needs_browser
def test_no_table_of_the_results_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser: Any
) -> None:
    name = "4-results"
    monkeypatch.setattr(slides, "SLIDES", tmp_path)
    monkeypatch.setattr(slides, "DECKS", {name: slides.DECKS[name]})
    slides.main()
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto((tmp_path / f"{name}.html").as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    assert not page.evaluate(NUMBER_UNDER_ARROWS)
    cut = []
    for i in range(page.evaluate("Reveal.getTotalSlides()")):
        if page.evaluate(OVERFLOW):
            cut.append((i + 1, page.inner_text("section.present h1, section.present h2")))
        page.evaluate("Reveal.next()")
    assert cut == []
    assert i > 50
    page.close()
