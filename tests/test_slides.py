"""Slides come from the chapters by rule, whole and without a network; the PDF's links hold."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup

from tools import notebooks, pdf, slides
from tools.notebooks import ROOT

TEXT = """\
# A title

First. Second. A formula follows:

$$
a

b
$$

```python
one = 1

two = 2
```

- a list
- of two
"""


def test_blocks_end_at_blank_lines_outside_formulas_and_fences() -> None:
    found = slides.blocks(TEXT)
    assert [block.split("\n")[0] for block in found] == [
        "# A title", "First. Second. A formula follows:", "$$", "```python", "- a list",
    ]  # fmt: skip
    assert found[2] == "$$\na\n\nb\n$$"


LONG = f"Then {'very ' * 30}long."


@pytest.mark.parametrize(
    ("paragraph", "leads", "short"),
    [
        (f"One thing. {LONG} It follows:", False, "One thing."),
        (f"One thing. {LONG} It follows:", True, "One thing. It follows:"),
        (f"{LONG} Another.", False, LONG),
        ("Is it? $x$ of Ada et al. (1843) says: yes, by 0.5.", True, None),
        (f"Ada et al. (1843) {LONG} More.", True, f"Ada et al. (1843) {LONG} More."),
    ],
)
def test_a_paragraph_is_its_first_sentences(paragraph: str, leads: bool, short: str | None) -> None:
    assert slides.in_short(paragraph, leads) == (short or paragraph)


def chapter(*cells: tuple[str, list[str], bool]) -> list[slides.Slide]:
    """The slides of cells: their text, tags, and whether they show a figure."""
    made = []
    for text, tags, figure in cells:
        if tags == ["markdown"]:
            made.append(nbformat.v4.new_markdown_cell(text))
            continue
        cell = nbformat.v4.new_code_cell(text, metadata={"tags": tags})
        if figure:
            about = {"image/png": {"alt": "a <digit>"}}
            data = {"image/png": "AAAA\n", "text/plain": "figure"}
            cell.outputs = [nbformat.v4.new_output("display_data", data=data, metadata=about)]
        made.append(cell)
    return slides.slides_of(nbformat.v4.new_notebook(cells=made))


def test_sections_figures_and_definitions_become_slides() -> None:
    text = ["markdown"]
    found = chapter(
        ("# Title\n\nIntro. More.", text, False),
        ("SCALE = 'cpu'", ["parameters"], False),
        ("## One\n\nA. B.", text, False),
        ("x = 1", [], False),
        ("show()", [], True),
        ("After the figure. Rest.", text, False),
        ("def f():" + "\n    ..." * 5, [], False),
        ("show()", ["remove-cell"], True),
        ("### Deeper\n\nC.", text, False),
        ("## Exercises\n\nDo it.\n\n### First", text, False),
        ("def exercise(): ...", [], False),
        ("def solution(): ...", ["hide-cell"], False),
        ("## Last", text, False),
    )
    texts = [[part for part in slide.parts if isinstance(part, str)] for slide in found]
    assert [(s.kind, s.heading, t) for s, t in zip(found, texts, strict=True)] == [
        ("title", "Title", ["Intro. More."]),
        ("beside", "One", ["A. B.", "After the figure. Rest."]),
        ("below", "One", []),
        ("below", "Deeper", ["C."]),
        ("beside", "Last", []),
    ]
    assert found[1].notes == ["A. B.", "After the figure. Rest."]
    figure, code = found[1].parts[1], found[2].parts[0]
    assert 'alt="a &lt;digit&gt;"' in figure.outputs[0].data["text/html"]
    assert figure.metadata.transient.remove_source
    assert code.source.startswith("def f():")
    assert not code.outputs


def outputs(number: int, *, sentences: int = 0, rows: int = 0) -> list[Any]:
    """What a cell shows: a table of so many rows, if any, and so many sentences."""
    said = [f"Sentence {number}.{i}." for i in range(sentences)]
    table = [{"text/html": f"<table>{'<tr></tr>' * rows}</table>"}] if rows else []
    all_ = [*table, *({"text/markdown": text, "text/plain": text} for text in said)]
    return [nbformat.v4.new_output("display_data", data=data) for data in all_]


def test_all_that_a_cell_shows_is_on_slides() -> None:
    cells = [nbformat.v4.new_markdown_cell("## One")]
    for number, shown in enumerate(({"sentences": 6}, {"sentences": 2, "rows": 11}, {"rows": 3})):
        cells.append(nbformat.v4.new_code_cell("def f(): ...", outputs=outputs(number, **shown)))
    found = slides.slides_of(nbformat.v4.new_notebook(cells=cells))
    assert [len(slide.parts) for slide in found] == [6, 2, 2], "no slide is fuller than it may be"
    assert all(slide.lines() <= slides.FULL for slide in found)
    parts = [part for slide in found for part in slide.parts]
    assert [output for part in parts for output in part.outputs] == [
        output for cell in cells[1:] for output in cell.outputs
    ]
    assert all(part.metadata.transient.remove_source for part in parts)


def test_a_full_slide_is_continued() -> None:
    sections = "\n\n".join(f"Sentence {i} {'word ' * 20}." for i in range(10))
    found = chapter((f"## Long\n\n{sections}", ["markdown"], False))
    assert len(found) > 1
    assert all(slide.lines() <= slides.FULL for slide in found)
    assert sum(len(slide.parts) for slide in found) == 10


@pytest.mark.parametrize("rows", [2, 12])
def test_a_table_takes_its_rows(rows: int) -> None:
    data = {"text/html": f"<table>{'<tr></tr>' * rows}</table>"}
    cell = nbformat.v4.new_code_cell("table()")
    cell.outputs = [nbformat.v4.new_output("display_data", data=data)]
    assert slides.lines(cell) == rows + 1  # and its caption


def test_citations_are_written_out() -> None:
    known = {"a": ("Ada", "1843"), "b": ("Bell et al.", "1900")}
    assert slides.cited("{cite:t}`a` and {cite:p}`a, b`", known) == (
        "Ada (1843) and (Ada, 1843; Bell et al., 1900)"
    )
    assert slides.citations()["zhang2024part"] == ("Zhang et al.", "2024")


def test_every_chapter_is_in_one_deck() -> None:
    numbers = [number for deck in slides.DECKS.values() for number in deck]
    assert sorted(numbers) == [path.stem[:2] for path in notebooks.chapters()]


def sentences_of(path: Path) -> list[str]:
    """The sentences that a chapter's cells show, but for its exercises and what is hidden."""
    found = []
    for cell in notebooks.read_notebook(path).cells:
        if cell.cell_type == "markdown" and re.search(r"^## Exercises", cell.source, re.MULTILINE):
            return found
        if cell.cell_type == "code" and not slides.HIDDEN & set(cell.metadata.get("tags", [])):
            found += [output.data["text/markdown"] for output in cell.outputs
                      if "text/markdown" in output.get("data", {})]  # fmt: skip
    return found


@pytest.mark.parametrize("name", slides.DECKS)
def test_a_deck_has_every_sentence_that_its_chapters_show(name: str) -> None:
    parts = [part for slide in slides.slides_for(slides.DECKS[name]) for part in slide.parts]
    shown = [output.data.get("text/markdown", "")
             for part in parts if not isinstance(part, str) for output in part.outputs]  # fmt: skip
    paths = [next(notebooks.NOTEBOOKS.glob(f"{n}-*.ipynb")) for n in slides.DECKS[name]]
    assert [text for text in shown if text] == [text for p in paths for text in sentences_of(p)]


@pytest.mark.parametrize("name", slides.DECKS)
def test_a_deck_needs_no_network(name: str) -> None:
    found = slides.slides_for(slides.DECKS[name])
    page = BeautifulSoup(slides.deck(name, found), "html.parser")
    assert len(page.select("section > section")) == len(found) > 10
    loads = [e.get("src") or e.get("href") for e in page.select("script[src], link[href], img")]
    assert not [address for address in loads if re.match(r"(https?:)?//", str(address))]
    assert all(image.get("alt") for image in page.select("img"))
    assert "{cite" not in page.text
    assert page.title is not None
    assert page.title.text.startswith(name[2].upper())


def test_links_hold_in_the_joined_page(tmp_path: Path) -> None:
    listed = pdf.names()
    assert [n for n in listed if n.startswith("notebooks/")] == [
        f"notebooks/{path.stem}" for path in [*notebooks.chapters(), *notebooks.appendices()]
    ]
    for name in listed:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.html").write_text(
            f'<article class="bd-article"><h1 id="top">{name}</h1><script></script>'
            '<a href="#top">top</a><a href="../book/api.html#top">api</a>'
            '<a href="../search.html">search</a><a href="https://example.org">away</a>'
            '<details><summary>s</summary></details><img src="../_images/a.png" alt="a">'
            '<div class="tag_hide-input"><details class="hide"><pre>reveal</pre></details></div>'
            "</article>"
        )
    page = BeautifulSoup(pdf.joined(tmp_path), "html.parser")
    ids = [str(e["id"]) for e in page.select("[id]")]
    assert len(ids) == len(set(ids)) == 2 * len(listed)
    anchors = [str(a["href"]) for a in page.select("main a[href]")]
    assert {a[1:] for a in anchors if a.startswith("#")} <= set(ids)
    assert anchors.count("#book-api--top") == len(listed) + 1
    assert len(page.select("main a:not([href])")) == len(listed), "what leads out of the book"
    assert "" not in anchors
    assert anchors.count("https://example.org") == len(listed)
    assert {str(i["src"]) for i in page.select("main img")} == {"../html/_images/a.png"}
    assert len(page.select("main details[open]")) == len(listed)
    assert not page.select("main script")
    assert not page.select("main pre")  # the code of a question, which holds its answer
    assert (ROOT / "tools" / "print.css").exists()
