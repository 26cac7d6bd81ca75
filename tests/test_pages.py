"""The pages around the chapters: nothing of the talk is missing, nothing points nowhere."""

import doctest
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from tools import notebooks, times

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
PAGES = sorted(BOOK.glob("*.md"))
TEXT = {page.stem: page.read_text() for page in PAGES}
CHAPTERS = notebooks.chapters()
SOURCES = CHAPTERS + notebooks.appendices()
LINES = (1, 1, 1, 2, 3, 1, 1, 3, 2, 3, 1, 1, 2, 4, 4, 3, 1, 1, 4, 2, 2, 2, 2, 1, 3, 3, 2, 1)
"""How many lines each slide of the talk has to say."""


def source_of(page: Path) -> Path:
    """A page's text: an executed notebook is read in the chapter that it is made from."""
    return notebooks.CHAPTERS / f"{page.stem}.md" if page.suffix == ".ipynb" else page


@cache
def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", source_of(page).read_text(), flags=re.M | re.S)
    titles = re.findall(r"^#{1,3} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower().replace(" ", "-")) for title in titles}


def links(page: Path) -> list[str]:
    """Targets of the links on a page that lead to another page."""
    text = page.read_text()
    named = dict(re.findall(r"^\[(.+?)\]: (\S+)$", text, re.MULTILINE))
    found = re.findall(r"\]\(([^)\s]+)\)", text) + list(named.values())
    used = set(re.findall(r"\]\[(.+?)\]", text))
    assert used == set(named)
    return [target for target in found if not target.startswith("http")]


def test_every_page_is_in_the_contents() -> None:
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    listed = sorted(f for f in [contents["root"], *files] if f.startswith("book/"))
    assert listed == [f"book/{page.stem}" for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def rows() -> list[list[str]]:
    """The cells of the talk's table: number, what is said, links."""
    lines = TEXT["talk-map"].splitlines()
    cells = [[c.strip() for c in line.strip("|").split(" | ")] for line in lines if line[:1] == "|"]
    return cells[2:]


def test_every_line_of_the_talk_has_its_row() -> None:
    expected = []
    for slide, lines in enumerate(LINES, start=1):
        expected += [f"{slide}.{n}" for n in range(1, lines + 1)] if lines > 1 else [str(slide)]
    assert [number for number, _, _ in rows()] == expected
    for number, said, places in rows():
        assert said
        assert re.search(r"\[.+\](\(.+\)|\[.+\])", places), number


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_every_chapter_is_in_the_map_and_in_the_guide(chapter: Path) -> None:
    targets = links(BOOK / "talk-map.md")
    assert any(target.startswith(f"../notebooks/{chapter.stem}.ipynb") for target in targets)
    assert f"\n### {int(chapter.stem[:2])}. " in TEXT["instructors"]


def test_every_reference_is_cited_and_every_citation_known() -> None:
    known = re.findall(r"^@\w+\{(\w+),", (BOOK / "references.bib").read_text(), re.MULTILINE)
    text = "".join(page.read_text() for page in PAGES + SOURCES)
    cited = {
        key.strip()
        for group in re.findall(r"\{cite:\w+\}`([^`]+)`", text)
        for key in group.split(",")
    }
    assert sorted(known) == sorted(cited)


def test_the_examples_of_the_refresher_come_out() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT["mathematics"], re.M | re.S)
    examples = doctest.DocTestParser().get_doctest("".join(blocks), {}, "refresher", None, None)
    found = doctest.DocTestRunner().run(examples)
    assert found.attempted > 30
    assert found.failed == 0


def test_the_glossary_is_in_order() -> None:
    terms = re.findall(r"^(\w.*)\n  \S", TEXT["glossary"], re.MULTILINE)
    assert len(terms) > 40
    assert terms == sorted(terms, key=str.lower)


LAYOUT = re.compile(
    r"\\(begin|end|text)\{.*?\}|\\(big+|left|right|q?quad|text|[lr]?vert|textstyle|underbrace|frac|sqrt"
    r"|max|min|sum|log|partial|c?dots?|ldots|le|ge|ne|in|approx|leftarrow|top|bar)(?![a-z])", re.I
)  # fmt: skip


def signs(page: Path) -> set[str]:
    """The letters and names in a page's formulas."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    found: set[str] = set()
    for display, inline in re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", text, re.S):
        formula = re.sub(r"\\(operatorname|mathrm)\{(\w+)\}", r"\\\2", display or inline)
        found |= set(re.findall(r"\\?[A-Za-z]{2,}|[A-Za-z]", LAYOUT.sub(" ", formula)))
    return found


@pytest.mark.parametrize("chapter", SOURCES, ids=lambda path: path.stem)
def test_every_sign_of_a_chapter_is_in_the_notation(chapter: Path) -> None:
    assert signs(chapter) - signs(BOOK / "notation.md") == set()


def test_times_come_from_the_last_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebooks, "BUILD", tmp_path)
    assert times.table().count("| not run |") == len(SOURCES)
    first, second, *_ = SOURCES
    for source, scale, seconds in ((first, "cpu", 61.2), (first, "gpu", 300), (second, "cpu", 29)):
        assert ('seconds at `"gpu"`' in times.table()) == (source == second), "a column of nothing"
        notebooks.write(notebooks.stamp_of(source, scale), f'{{"seconds": {seconds}}}')
    table = times.table()
    assert f"({'../notebooks/' + first.stem}.ipynb) | 61 | 300 |" in table
    assert f"({'../notebooks/' + second.stem}.ipynb) | 29 | not run |" in table
    assert "the seconds add up to 1.5 minutes" in table, "no time that anybody waited"
