"""Print the built book as one PDF, with the Chromium or Chrome of the system.

    python -m tools.pdf

All pages of the contents become one page, so that the PDF has one numbering and one outline and
its links lead from chapter to chapter. Widgets show their picture; a question is followed by its
answer, without the code that holds both. It is `_build/pdf/book.pdf`.
"""

import posixpath
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import sync_playwright

from partlib import __version__
from tools import book
from tools.links import SITE
from tools.notebooks import BUILD, ROOT, write

PDF = BUILD / "pdf" / "book.pdf"
BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)  # fmt: skip
LEFT_OUT = (
    "script", "style", "button", "input", ".headerlink", "nav", "#contents",
    ".tag_hide-input details.hide",
)  # fmt: skip
FOOTER = (
    '<div style="width: 100%; text-align: center; font: 8pt system-ui; color: #555">'
    '<span class="pageNumber"></span></div>'
)
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="stylesheet" href="../html/_static/pygments.css">
<link rel="stylesheet" href="../../tools/print.css">
<script>window.MathJax = {{ options: {{ processHtmlClass: "math" }} }};</script>
<script defer src="../html/_static/mathjax/tex-chtml.js"></script>
</head>
<body class="tex2jax_ignore mathjax_ignore">
<header>
<h1>{title}</h1>
<p>{author}, version {version}</p>
<img src="../html/_static/picture.png" alt="">
<p>{license}</p>
<h2>Contents</h2>
<ol>{contents}</ol>
</header>
<main>{pages}</main>
</body>
</html>
"""


def browser() -> str:
    """The path of the system's Chromium or Chrome.

    Raises:
        FileNotFoundError: there is none.
    """
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise FileNotFoundError(f"Chromium or Chrome is needed, found none of {', '.join(BROWSERS)}")


def names() -> list[str]:
    """The pages of the table of contents, in order, such as "notebooks/02-fgsm"."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [contents["root"]] + [c["file"] for p in contents["parts"] for c in p["chapters"]]


def article(name: str, site: Path, all_names: list[str]) -> Tag:
    """A page's text, with ids and links that hold in the joined page."""
    page = BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
    body = page.select_one("article.bd-article")
    assert body is not None, name
    for element in body.select(", ".join(LEFT_OUT)):
        element.decompose()
    body.attrs["id"] = anchor(name)
    for element in body.find_all(id=True):
        element.attrs["id"] = anchor(name, str(element.attrs["id"]))
    for element in body.find_all("details"):
        element.attrs["open"] = ""
    for element in body.find_all(href=True):
        if target := joined_link(str(element.attrs["href"]), name, all_names):
            element.attrs["href"] = target
        else:  # Chromium would print it as a link to where the page lay
            del element.attrs["href"]
    for element in body.find_all(src=True):
        source = str(element.attrs["src"])
        if not urlsplit(source).scheme:
            element.attrs["src"] = f"../html/{place(source, name)}"
    return body


def anchor(name: str, fragment: str = "") -> str:
    """The id in the joined page of an id in a page, or of the page itself."""
    return f"{name.replace('/', '-')}--{fragment}".removesuffix("--")


def place(address: str, name: str) -> str:
    """The place in the site of what a page refers to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), address))


def joined_link(address: str, name: str, all_names: list[str]) -> str:
    """An address of a page as it must be in the joined page; "" for what is not in it."""
    parts = urlsplit(address)
    if parts.scheme:
        return address
    path = unquote(parts.path)
    target = place(path, name).removesuffix(".html") if path else name
    return f"#{anchor(target, unquote(parts.fragment))}" if target in all_names else ""


def joined(site: Path) -> str:
    """The whole book as one page."""
    listed = names()
    articles = [article(name, site, listed) for name in listed]
    contents = []
    for name, body in zip(listed, articles, strict=True):
        heading = body.find("h1")
        assert heading is not None, name
        contents.append(f'<li><a href="#{anchor(name)}">{heading.get_text()}</a></li>')
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return PAGE.format(
        title=config["title"],
        author=config["author"],
        version=__version__,
        license=config["html"]["extra_footer"],
        contents="".join(contents[1:]),
        pages="".join(map(str, articles)),
    )


def main() -> int:
    """Print the book; returns the exit status."""
    if not book.is_new():
        print("The book is missing or older than its sources: run `make book`", file=sys.stderr)
        return 1
    try:
        path = browser()
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    page_file = PDF.with_suffix(".html")
    write(page_file, joined(SITE))
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--allow-file-access-from-files"]
        )
        page = started.new_page()
        page.goto(page_file.as_uri())
        page.evaluate("MathJax.startup.promise")
        page.pdf(
            path=PDF,
            format="A4",
            margin={"top": "20mm", "bottom": "20mm", "left": "20mm", "right": "20mm"},
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER,
            print_background=True,
            outline=True,
            tagged=True,
        )
        started.close()
    print(f"The book: {PDF}, {PDF.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
