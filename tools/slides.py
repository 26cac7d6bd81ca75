"""Make slides from the executed chapters: a deck for each part of the talk, with speaker notes.

    python -m tools.slides

A section is a slide, and goes on below where it is long; what is still too high is shown smaller.
Of a paragraph the slide keeps the first sentence or two, and the one that leads to what follows;
lists, formulas, tables, figures and definitions stay whole. All the prose is in the notes (key S).
Exercises, solutions and further reading stay in the book. The decks are in `_build/slides` and
need no network.
"""

import html
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import nbformat
import yaml
from nbconvert.exporters import SlidesExporter
from pybtex.database import parse_file
from traitlets.config import Config

from tools.notebooks import BUILD, NOTEBOOKS, ROOT, read_notebook, write
from tools.vendor import VENDOR, copy_mathjax

SLIDES = BUILD / "slides"
TEMPLATE = ROOT / "tools" / "slides_template"
DECKS = {  # in the order of the talk
    "1-adversarial-examples": ("01", "02", "03"),
    "2-adversarial-training": ("04",),
    "3-pixel-reweighted-training": ("06", "05", "07"),
    "4-results": ("08", "09"),
}
KINDS = {1: "title", 2: "beside", 3: "below"}  # by the level of the heading
LEFT_OUT = {"Exercises", "Further reading"}
HIDDEN = {"remove-cell", "hide-cell", "parameters", "colab"}
FULL = 13  # lines of text on a slide
FIGURE = 8  # lines that a figure takes; a table takes its rows
LINE = 74  # characters


@dataclass
class Slide:
    """One slide: its parts from top to bottom, and what the speaker may say.

    Attributes:
        kind: "title", "beside" the last one, or "below" it.
        heading: the title of its chapter or section.
        parts: blocks of Markdown, and code cells.
        notes: the prose in full.
    """

    kind: str
    heading: str
    parts: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def cells(self) -> Iterator[Any]:
        """The slide as cells in nbconvert's form."""
        level = "#" if self.kind == "title" else "##"
        kind = "subslide" if self.kind == "below" else "slide"
        yield with_kind(markdown(f"{level} {self.heading}"), kind)
        for part in self.parts:
            yield with_kind(markdown(part) if isinstance(part, str) else part, "-")
        if self.notes:
            yield with_kind(markdown("\n\n".join(self.notes)), "notes")

    def lines(self) -> int:
        """About how many lines of text the slide holds."""
        return sum(map(lines, self.parts))


def markdown(text: str) -> Any:
    """A Markdown cell."""
    return nbformat.v4.new_markdown_cell(text)


def with_kind(cell: Any, kind: str) -> Any:
    """The cell with its kind of slide, as nbconvert reads it."""
    cell.metadata["slideshow"] = {"slide_type": kind}
    return cell


def slides_of(notebook: Any) -> list[Slide]:
    """The slides of a chapter."""
    slides: list[Slide] = []
    left_out = False
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if not left_out and not HIDDEN & set(cell.metadata.get("tags", [])):
                add_code(slides, cell)
            continue
        found = blocks(cell.source)
        for block, following in zip(found, [*found[1:], ""], strict=True):
            if title := re.fullmatch(r"(#{1,3}) (.*)", block):
                level = len(title[1])
                left_out = title[2] in LEFT_OUT or (left_out and level == 3)
                if not left_out:
                    slides.append(Slide(KINDS[level], title[2]))
            elif not left_out:
                add_text(slides, block, following)
    return slides


def add_code(slides: list[Slide], cell: Any) -> None:
    """Put on slides all that a code cell shows, or else what it defines, if anything."""
    shown = [output for output in map(as_html, cell.outputs) if output]
    for output in shown:
        part = nbformat.v4.new_code_cell(cell.source, outputs=[output])
        part.metadata["transient"] = {"remove_source": True}
        with_room(slides, lines(part)).parts.append(part)
    if not shown and re.search(r"^(def|class) ", cell.source, re.MULTILINE):
        code = nbformat.v4.new_code_cell(cell.source)
        with_room(slides, lines(code)).parts.append(code)


def with_room(slides: list[Slide], needed: int) -> Slide:
    """The last slide, or where that is too full for so many lines a new one below it."""
    if slides[-1].parts and slides[-1].lines() + needed > FULL:
        slides.append(Slide("below", slides[-1].heading))
    return slides[-1]


def as_html(output: Any) -> Any:
    """A figure, table or sentence as an output of a slide; None for what says little alone."""
    data = output.get("data", {})
    if "image/png" in data:
        alt = html.escape(output.metadata.get("image/png", {}).get("alt", ""))
        shown = f'<img alt="{alt}" src="data:image/png;base64,{data["image/png"].strip()}">'
    elif "text/html" in data:
        shown = data["text/html"]
    elif "text/markdown" in data:
        return output
    else:
        return None
    return nbformat.v4.new_output("display_data", data={"text/html": shown})


def add_text(slides: list[Slide], block: str, following: str) -> None:
    """Put a block of prose on a slide."""
    short = block if is_whole(block) else in_short(block, is_whole(following))
    slide = with_room(slides, lines(short))
    slide.parts.append(short)
    slide.notes.append(block)


def blocks(text: str) -> list[str]:
    """A cell's text, cut at blank lines outside fences and formulas."""
    found: list[list[str]] = [[]]
    fence = ""
    for line in text.split("\n"):
        mark = re.match(r"```+|\$\$|:::+", line)
        if mark and not fence:
            fence = mark[0]
        elif fence and line.rstrip().endswith(fence):
            fence = ""
        if line.strip() or fence:
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return ["\n".join(block) for block in found if block]


def is_whole(block: str) -> bool:
    """Whether a block is a list, formula, table, quotation or fence, which is not shortened."""
    return bool(re.match(r"[-*] |\d+\. |[|>]|\$\$|```|:::", block))


def in_short(paragraph: str, leads: bool) -> str:
    """The first sentences of a paragraph, and the last one where it leads to what follows."""
    first, *more = re.split(
        r"(?<!et al\.)(?<=[.!?])\s+(?=[A-Z\"*`$(])", " ".join(paragraph.split())
    )
    kept = [first]
    while more and len(" ".join([*kept, more[0]])) <= 2 * LINE:
        kept.append(more.pop(0))
    return " ".join([*kept, *(more[-1:] if leads else [])])


def lines(part: Any) -> int:
    """About how many lines a part of a slide takes."""
    if not isinstance(part, str):
        data = part.outputs[0].data if part.outputs else {"text/markdown": part.source}
        rows = data.get("text/html", "").count("<tr")
        part = data.get("text/markdown") or "\n" * (rows or FIGURE)
    return sum(1 + len(line) // LINE for line in part.split("\n"))


def citations() -> dict[str, tuple[str, str]]:
    """Authors and year of each key of the bibliography."""
    found = {}
    for key, entry in parse_file(ROOT / "book" / "references.bib").entries.items():
        names = [" ".join(p.last_names) for p in entry.persons["author"]]
        who = names[0] if len(names) == 1 else " and ".join(names[:2])
        found[key] = (f"{names[0]} et al." if len(names) > 2 else who, entry.fields["year"])
    return found


def cited(text: str, known: dict[str, tuple[str, str]]) -> str:
    """The text with its citations written out."""

    def written(match: re.Match[str]) -> str:
        pairs = [known[key.strip()] for key in match[2].split(",")]
        if match[1] == "t":
            return "; ".join(f"{who} ({year})" for who, year in pairs)
        return f"({'; '.join(f'{who}, {year}' for who, year in pairs)})"

    return re.sub(r"\{cite:([tp])\}`([^`]*)`", written, text)


def slides_for(numbers: tuple[str, ...]) -> list[Slide]:
    """The slides of several chapters."""
    known = citations()
    found = []
    for number in numbers:
        (path,) = NOTEBOOKS.glob(f"{number}-*.ipynb")
        notebook = read_notebook(path)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = cited(cell.source, known)
        found += slides_of(notebook)
    return found


def deck(name: str, slides: list[Slide]) -> str:
    """The slides as an HTML page."""
    book = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["title"]
    title = f"{name[2:].replace('-', ' ').capitalize()}: {book}"
    exporter = SlidesExporter(
        config=Config({"CSSHTMLHeaderPreprocessor": {"style": "default"}}),
        template_name=TEMPLATE.name,
        extra_template_basedirs=[str(TEMPLATE.parent)],
        reveal_url_prefix="reveal",
        reveal_theme="book",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    cells = [cell for slide in slides for cell in slide.cells()]
    talk = nbformat.v4.new_notebook(cells=cells, metadata={"title": title})
    page, _ = exporter.from_notebook_node(talk)
    return str(page)


def main() -> int:
    """Make all decks; returns the exit status."""
    shutil.rmtree(SLIDES, ignore_errors=True)
    copy_mathjax(SLIDES / "mathjax")
    reveal = SLIDES / "reveal" / "dist"  # the folders are those that nbconvert's template names
    (reveal / "theme").mkdir(parents=True)
    for name in ("reveal.js", "reveal.css", "notes.js", "LICENSE-reveal"):
        shutil.copyfile(VENDOR / name, reveal / name)
    shutil.copyfile(TEMPLATE / "book.css", reveal / "theme" / "book.css")
    for name, numbers in DECKS.items():
        slides = slides_for(numbers)
        write(SLIDES / f"{name}.html", deck(name, slides))
        print(f"  {name}: {len(slides)} slides", flush=True)
    print(f"The slides: {SLIDES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
