"""Widgets with two faces from the same data: live with a kernel, precomputed in a page without.

One output holds both, and each reader's program picks what it can show: Jupyter and Colab the live
ipywidgets form, a rendered page the HTML form, which needs neither kernel nor network. Where
scripts are stripped, as on GitHub, the HTML still holds a picture with its alt text.
"""

from __future__ import annotations

import io
import json
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from html import escape
from string import Template
from typing import Any, TypeAlias, TypeVar

import ipywidgets
from PIL import Image

from partlib.show.picture import Picture, nonempty, publish

T = TypeVar("T")
Frame: TypeAlias = "Picture | tuple[Picture, str]"

# The script makes the control: where scripts are stripped none is left that moves and does nothing.
# Colours are set here, on white like the pictures: themes and notebooks differ in dark mode.
_PAGE = Template("""\
<figure id="partlib-$name" data-partlib="$name" style="$card">
$image
<figcaption style="color:#222;font-weight:400;font-size:1em;text-align:left">
<label style="display:block">$label: <span>$value</span></label>
<p style="margin:0;color:#222" aria-live="polite">$caption</p>
</figcaption>
<script>
for (const figure of document.querySelectorAll('[data-partlib="$name"]:not([data-ready])')) {
  const frames = $frames;
  const [image, label, value, caption] =
    ["img", "label", "span", "p"].map((tag) => figure.querySelector(tag));
  const input = document.createElement("input");
  Object.assign(input, {type: "range", min: 0, max: frames.length - 1, step: 1, value: $start});
  input.setAttribute("aria-label", $label_text);
  input.style.cssText = "display:block;width:100%;max-width:${width}px;height:2em;margin:0";
  label.append(input);
  const show = () => {
    const frame = frames[input.value];
    image.src = frame.src;
    image.alt = frame.alt;
    value.textContent = frame.value;
    caption.textContent = frame.caption;
    input.setAttribute("aria-valuetext", frame.value);
  };
  input.addEventListener("input", show);
  figure.dataset.ready = "";
  show();
}
</script>
</figure>""")
_WIDGET = "application/vnd.jupyter.widget-view+json"
_CARD = "margin:0;padding:8px;background:#fff;color:#222;color-scheme:light;text-align:left"


def slider(
    draw: Callable[[T], Frame],
    values: Sequence[T],
    *,
    name: str,
    label: str,
    alt: str,
    start: int = 0,
    format: Callable[[T], str] = str,
) -> None:
    """Display a slider over ``values`` that shows the picture which ``draw`` makes of each.

    ``draw`` is called once for each value, for the page, and again whenever a reader with a kernel
    moves the slider. Both faces step through ``values``.

    Args:
        draw: maps a value to a picture from ``partlib.show.draw_...``, or to a picture and a
            caption (plain text). Pictures of one size keep the page from jumping.
        values: the steps of the slider, at least one.
        name: the widget's name in the page, such as "fgsm-eps": lower-case letters, digits and
            hyphens, another for each widget of a chapter.
        label: what is moved, in words.
        alt: what the widget shows, for a reader who cannot see it; each picture has its own too.
        start: the position in ``values`` to begin with.
        format: writes a value as text.

    Raises:
        ValueError: for an empty text, no values, a ``name`` or ``start`` that cannot be used.
    """
    _check_name(name)
    nonempty("label", label)
    nonempty("alt", alt)
    if not 0 <= start < len(values):
        raise ValueError(f"start must be a position in {len(values)} values, found {start}")
    frames = [_frame(draw(value)) for value in values]
    first, caption = frames[start]
    texts = [format(value) for value in values]
    steps = [
        {"src": _webp(picture), "alt": picture.alt, "value": text, "caption": words}
        for (picture, words), text in zip(frames, texts, strict=True)
    ]
    html = _PAGE.substitute(
        name=name,
        card=_CARD,
        image=_image(first),
        label=escape(label),
        label_text=_script(label),
        start=start,
        value=escape(texts[start]),
        width=first.width,
        caption=escape(caption),
        frames=_script(steps),
    )
    live = _live(draw, values, texts, start, label, frames[start])
    publish(
        {
            # Written here: the widgets that Colab has, of ipywidgets 7, do not offer it.
            _WIDGET: {"version_major": 2, "version_minor": 0, "model_id": live.model_id},
            "text/html": html,
            "text/plain": f"<slider: {alt}>",
        }
    )


def reveal(question: str, answer: str, *, name: str) -> None:
    """Display a question whose answer unfolds on a click, in Jupyter, Colab, GitHub and the page.

    Args:
        question: plain text, to be answered before the experiment is run.
        answer: plain text; an empty line begins a paragraph. It may hold numbers of the run.
        name: the name in the page, as in :func:`slider`.

    Raises:
        ValueError: for an empty text or a ``name`` that cannot be used.
    """
    _check_name(name)
    parts = re.split(r"\n\s*\n", nonempty("answer", answer).strip())
    body = "".join(f"<p>{escape(' '.join(part.split()))}</p>" for part in parts)
    html = (
        f'<details id="partlib-{name}" style="margin:1em 0"><summary style="cursor:pointer">'
        f"<strong>{escape(nonempty('question', question))}</strong></summary>{body}</details>"
    )
    publish({"text/html": html, "text/plain": f"{question}\n\n{answer}"})


def _live(
    draw: Callable[[T], Frame],
    values: Sequence[T],
    texts: Sequence[str],
    start: int,
    label: str,
    first: tuple[Picture, str],
) -> ipywidgets.VBox:
    """Build the face that a kernel serves: each move calls ``draw`` anew."""
    control = ipywidgets.SelectionSlider(
        options=[(text, i) for i, text in enumerate(texts)],
        value=start,
        description=label,
        continuous_update=False,
        style={"description_width": "initial"},
        layout={"width": f"{first[0].width}px", "max_width": "100%"},
    )
    view = ipywidgets.HTML(_figure(*first))

    def redraw(change: dict[str, Any]) -> None:
        view.value = _figure(*_frame(draw(values[change["new"]])))

    control.observe(redraw, names="value")
    return ipywidgets.VBox([control, view])


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ValueError(f"name must be lower-case words joined by hyphens, found {name!r}")


def _frame(drawn: Frame) -> tuple[Picture, str]:
    return (drawn, "") if isinstance(drawn, Picture) else drawn


def _image(picture: Picture) -> str:
    # "dark-light" tells the book's theme that the picture is right as it is in dark mode.
    return (
        f'<img class="dark-light" src="data:image/png;base64,{picture.base64}" '
        f'alt="{escape(picture.alt)}" width="{picture.width}" '
        'style="display:block;margin:0;padding:0;background:#fff;max-width:100%;height:auto">'
    )


def _figure(picture: Picture, caption: str) -> str:
    return f'<div style="{_CARD}">{_image(picture)}<p style="margin:0">{escape(caption)}</p></div>'


def _webp(picture: Picture) -> str:
    """Pack a picture without loss into about half of its PNG, for the many frames of a page."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(picture.png)) as image:
        image.convert("RGB").save(file, "WEBP", lossless=True, quality=100, method=4)
    return f"data:image/webp;base64,{b64encode(file.getvalue()).decode('ascii')}"


def _script(data: object) -> str:
    """Write data as JSON that cannot end the script element or start a comment in it."""
    text = json.dumps(data)  # ASCII: line separators are escaped too
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
