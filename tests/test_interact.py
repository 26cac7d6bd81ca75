"""Widgets: the live face, the page's face in a real browser, and what is left without scripts."""

import base64
import html
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pytest
import torch
from ipywidgets.widgets.widget import _instances
from PIL import Image

from partlib import interact, show
from partlib.show import picture

WIDGET = "application/vnd.jupyter.widget-view+json"
VALUES = [0.0, 1 / 255, 2 / 255]
NASTY = '</script><b>"it\'s"</b> & <!-- \u2028 $x'
CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "chrome"])), None)


def noise(n: int = 1) -> torch.Tensor:
    return torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(n))


def draw(eps: float) -> tuple[show.Picture, str]:
    x, sign = noise(), torch.sign(noise(2)[:1] - 0.5)
    x_adv = (x + eps * sign).clamp(0, 1)
    alt = f"noise at {show.over_255(eps)} {NASTY}"
    return show.draw_attack(x, x_adv, eps=eps, k=7, alt=alt), f"caption {eps:.4f} {NASTY}"


class Page(HTMLParser):
    """The tags of a page with their attributes, its scripts, and the rest of its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.get_starttag_text() == "<script>" and self.cdata_elem:
            self.scripts.append(data)
        else:
            self.words += data

    def only(self, tag: str) -> dict[str, str | None]:
        [attrs] = [attrs for name, attrs in self.tags if name == tag]
        return attrs


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    outputs: list[dict[str, Any]] = []
    monkeypatch.setattr(
        picture, "display", lambda data, metadata, raw: outputs.append(data) if raw else None
    )
    return outputs


def show_slider(outputs: list[dict[str, Any]], **changed: Any) -> dict[str, Any]:
    settings = {"name": "eps", "label": "ε", "alt": "noise", "format": show.over_255} | changed
    values = settings.pop("values", VALUES)
    assert interact.slider(settings.pop("draw", draw), values, **settings) is None
    return outputs[-1]


def frames_of(page: Page) -> list[dict[str, str]]:
    [script] = page.scripts
    found = re.search(r"const frames = (\[.*?\]);\n", script)
    assert found
    return json.loads(found[1])


def rgb(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_one_output_holds_both_faces(displayed):
    data = show_slider(displayed)
    assert len(displayed) == 1
    assert set(data) == {WIDGET, "text/html", "text/plain"}
    assert data["text/plain"] == "<slider: noise>"


def test_the_widgets_of_colab_do(displayed, monkeypatch):
    # ipywidgets 7 displays itself in a way of its own.
    monkeypatch.delattr(ipywidgets.Widget, "_repr_mimebundle_", raising=False)
    assert show_slider(displayed)[WIDGET]["model_id"] in _instances


def test_page_holds_a_picture_for_every_value_without_loss(displayed):
    page = Page(show_slider(displayed)["text/html"])
    for frame, eps in zip(frames_of(page), VALUES, strict=True):
        drawing, caption = draw(eps)
        kind, data = frame["src"].split(",")
        assert kind == "data:image/webp;base64"
        assert (rgb(base64.b64decode(data)) == rgb(drawing.png)).all()
        assert frame["alt"] == drawing.alt
        assert frame["caption"] == caption
        assert frame["value"] == show.over_255(eps)


def test_page_starts_at_the_given_value_and_stands_without_scripts(displayed):
    text = show_slider(displayed, start=1)["text/html"]
    page = Page(re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))
    first, caption = draw(VALUES[1])
    image = page.only("img")
    assert image["src"] == f"data:image/png;base64,{first.base64}"
    assert image["alt"] == first.alt
    assert image["width"] == str(first.width)
    assert image["class"] == "dark-light"
    assert "ε: 1/255" in page.words
    assert caption in page.words
    tags = [tag for tag, _ in page.tags]
    assert tags.index("figure") < tags.index("img") < tags.index("label")
    assert "input" not in tags  # nothing that moves and does nothing


def test_texts_cannot_break_out_of_the_page(displayed):
    text = show_slider(displayed, label=NASTY, alt=NASTY, format=lambda v: f"{v:.3f} {NASTY}")
    page = Page(text["text/html"])
    names = [tag for tag, _ in page.tags]
    assert sorted(names) == sorted(["figure", "img", "figcaption", "label", "span", "p", "script"])
    assert page.words.count(NASTY) == 3
    [script] = page.scripts
    assert not re.search(r"<!--|</?\s*script", script, re.IGNORECASE)
    assert all(NASTY in frame["value"] for frame in frames_of(page))


def test_page_needs_no_network(displayed):
    text = show_slider(displayed)["text/html"]
    assert not re.search(
        r"https?:|//\w|@import|import\(|fetch", re.sub(r"base64,[\w+/=]*", "", text)
    )


def test_html_is_the_same_each_time_and_another_for_another_name(displayed):
    first, again, other = (
        show_slider(displayed, name=name)["text/html"] for name in ("eps", "eps", "eps-low")
    )
    assert first == again
    assert Page(first).only("figure")["id"] == "partlib-eps"
    assert Page(other).only("figure")["id"] == "partlib-eps-low"


def test_seventeen_frames_of_noise_stay_light(displayed):
    data = show_slider(displayed, values=[i / 255 for i in range(17)])
    assert len(data["text/html"]) < 300_000


def live(data: dict[str, Any]) -> tuple[ipywidgets.SelectionSlider, ipywidgets.HTML]:
    control, view = _instances[data[WIDGET]["model_id"]].children
    return control, view


def test_live_slider_draws_the_value_it_is_moved_to(displayed):
    asked = []

    def watched(eps: float) -> Any:
        asked.append(eps)
        return draw(eps)

    control, view = live(show_slider(displayed, draw=watched, start=1))
    assert isinstance(control, ipywidgets.SelectionSlider)
    assert (control.description, control.label) == ("ε", "1/255")
    asked.clear()
    for i in (2, 0):
        control.value = i
        drawing, caption = draw(VALUES[i])
        page = Page(view.value)
        assert page.only("img")["src"] == f"data:image/png;base64,{drawing.base64}"
        assert page.only("img")["alt"] == drawing.alt
        assert page.words == caption
    assert asked == [VALUES[2], VALUES[0]]


def test_live_face_starts_as_the_page_does(displayed):
    data = show_slider(displayed, start=2)
    _, view = live(data)
    assert Page(view.value).only("img") == Page(data["text/html"]).only("img")
    assert Page(view.value).words == draw(VALUES[2])[1]


def test_a_picture_needs_no_caption(displayed):
    data = show_slider(displayed, draw=lambda eps: draw(eps)[0])
    assert [f["caption"] for f in frames_of(Page(data["text/html"]))] == [""] * 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "Eps low"}, "name must be .*found 'Eps low'"),
        ({"name": "a\n"}, "name must be"),
        ({"label": ""}, "label must be a text"),
        ({"alt": " "}, "alt must be a text"),
        ({"start": 3}, "start must be a position in 3 values, found 3"),
        ({"start": -1}, "start must be .*found -1"),
        ({"values": []}, "start must be a position in 0 values"),
    ],
)
def test_slider_refuses(changed, message, displayed):
    with pytest.raises(ValueError, match=message):
        show_slider(displayed, **changed)
    assert displayed == []


def test_reveal_folds_the_answer(displayed):
    assert interact.reveal(f"Why {NASTY}?", f"Since {NASTY}\nso.\n\nAnd more.", name="why") is None
    [data] = displayed
    page = Page(data["text/html"])
    assert [tag for tag, _ in page.tags] == ["details", "summary", "strong", "p", "p"]
    assert page.only("details")["id"] == "partlib-why"
    assert "open" not in page.only("details")
    assert html.unescape(data["text/html"].split("<p>")[1]).endswith("so.</p>")
    assert data["text/plain"].startswith(f"Why {NASTY}?")
    for question, answer, name in (("", "a", "n"), ("q", "", "n"), ("q", "a", "N")):
        with pytest.raises(ValueError, match="must be"):
            interact.reveal(question, answer, name=name)


MOVE = """
<pre id="report"></pre><script>
const seen = [];
for (const figure of document.querySelectorAll("figure")) {
  const [image, input, value, caption] =
    ["img", "input", "span", "p"].map((tag) => figure.querySelector(tag));
  const state = () => [figure.id, input.labels[0].tagName, input.type, input.min, input.max,
    input.step, input.value, input.getAttribute("aria-label"), image.src.slice(-40), image.alt,
    value.textContent, caption.textContent, input.getAttribute("aria-valuetext")];
  seen.push(state());
  input.value = 2;
  input.dispatchEvent(new Event("input"));
  seen.push(state());
}
document.getElementById("report").textContent = JSON.stringify(seen);
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to show the page in")
def test_sliders_move_in_a_browser_and_leave_each_other_alone(displayed, tmp_path: Path):
    sliders = [
        show_slider(displayed, name="eps"),
        show_slider(displayed, name="eps-low", start=1, label=NASTY),
        show_slider(displayed, name="eps", values=VALUES[::-1]),  # a cell that was run twice
    ]
    page = tmp_path / "page.html"
    body = "".join(data["text/html"] for data in sliders)
    page.write_text(f'<!doctype html><meta charset="utf-8">{body}{MOVE}', encoding="utf-8")
    off = ("gpu", "quic", "sync", "background-networking", "component-update")
    flags = ["--headless", "--no-sandbox", "--no-first-run", "--dump-dom"]
    flags += [f"--disable-{name}" for name in off]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [str(CHROMIUM), *flags, profile, page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    report = re.search(r'<pre id="report">(.*?)</pre>', dom, re.DOTALL)
    assert report
    states = json.loads(html.unescape(report[1]))
    expected = []
    for data, start, label in zip(sliders, (0, 1, 0), ("ε", NASTY, "ε"), strict=True):
        parsed = Page(data["text/html"])
        for at in (start, 2):
            frame = frames_of(parsed)[at]
            shown = [frame[key] for key in ("alt", "value", "caption", "value")]
            control = ["LABEL", "range", "0", "2", "1", str(at), label]
            identity = parsed.only("figure")["id"]
            expected.append([identity, *control, frame["src"][-40:], *shown])
    assert states == expected
