"""The check of the links finds each kind of fault, and nothing in a site without one."""

import re
from pathlib import Path

import pytest

from tools import links
from tools.notebooks import ROOT

FIRST = """\
<!doctype html><html><head>
<link rel="canonical" href="https://example.org/book/first.html">
<link rel="stylesheet" href="../_static/a.css?v=1"><script src="../_static/b.js"></script>
</head><body>
<h1 id="top">First</h1><img src="data:image/png;base64,AAAA" alt="a digit">
<a href="second.html#part%20two">on</a> <a href="#top">up</a> <a href="">here</a>
<a href="https://example.org/elsewhere">away</a> <a href="../_sources/book/first.md">text</a>
ADD</body></html>
"""


def site(folder: Path, add: str = "") -> Path:
    files = {
        "book/first.html": FIRST.replace("ADD", add),
        "book/second.html": '<h2 id="part two">Second</h2>',
        "404.html": '<base href="/"><a href="book/first.html#top">first</a>',
        "_static/a.css": "",
        "_static/b.js": "",
        "_static/page.html": '<a href="not/a/page.html">of the theme</a>',
        "_sources/book/first.md": "",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_nothing_is_wrong(tmp_path: Path) -> None:
    assert links.faults(site(tmp_path)) == []


@pytest.mark.parametrize(
    ("add", "fault"),
    [
        ('<a href="third.html">', "no such file: third.html"),
        ('<a href="/book/second.html">', "no such file: /book/second.html"),
        ('<a href="second.html#two">', "no such anchor: second.html#two"),
        ('<a href="#bottom">', "no such anchor: #bottom"),
        ('<img src="lost.png" alt="a digit">', "no such file: lost.png"),
        ('<img src="../_static/a.css" alt=" ">', "an image without alt text: ../_static/a.css"),
        ('<img src="../_static/a.css">', "an image without alt text: ../_static/a.css"),
        ('<script src="https://example.org/a.js"></script>', "is loaded from elsewhere"),
        ('<link rel="stylesheet" href="//example.org/a.css">', "is loaded from elsewhere"),
        ('<iframe src="http://example.org"></iframe>', "is loaded from elsewhere"),
        ('<p id="top">', "the id 'top' stands twice"),
        ('<video poster="https://example.org/a.png"></video>', "is loaded from elsewhere"),
        (
            '<img src="../_static/a.css" srcset="../_static/b.js 1x, //example.org/b.png 2x" '
            'alt="a digit">',
            "is loaded from elsewhere: //example.org/b.png",
        ),
    ],
)
def test_faults_are_found(tmp_path: Path, add: str, fault: str) -> None:
    (found,) = links.faults(site(tmp_path, add))
    assert found.startswith("book/first.html: ")
    assert fault in found


def test_what_lies_beside_the_site_is_not_in_it(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    (found,) = links.faults(site(tmp_path / "site", '<a href="../../README.md">'))
    assert found == "book/first.html: no such file: ../../README.md"


def test_a_site_that_is_too_large_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(links, "SITE", site(tmp_path))
    assert links.main() == 0
    assert capsys.readouterr().out.startswith("  3 pages, 0.0 MB, 0 faults")
    monkeypatch.setattr(links, "LIMIT", 100)
    assert links.main() == 1
    assert "more than" in capsys.readouterr().err


def test_every_citation_is_in_the_bibliography() -> None:
    keys = set(re.findall(r"^@\w+\{([^,]+),", (ROOT / "book" / "references.bib").read_text(), re.M))
    cited = set()
    for path in (ROOT / "book").rglob("*.md"):
        for names in re.findall(r"\{cite:\w+\}`([^`]+)`", path.read_text()):
            cited |= {name.strip() for name in names.split(",")}
    assert len(cited) > 20
    assert cited <= keys
