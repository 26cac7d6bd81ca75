"""Make the book: run the chapters that changed, then render the pages.

    python -m tools.book

Any failing cell, any warning of Sphinx, any dead link and a site of more than 60 MB makes it fail.
The pages are in `_build/html`.
"""

import shutil
import subprocess
import sys
import time
from importlib.metadata import version

from tools import addresses, lab, links, notebooks, picture, site, times, vendor
from tools.notebooks import BUILD, ROOT

PAGES = BUILD / "html" / "index.html"
STAMP = BUILD / "stamps" / "pages"
STATIC = BUILD / "static"  # one of html_static_path
MATHJAX = STATIC / "mathjax"
LAB = STATIC / "lab"
TIMES = BUILD / "times.md"  # included by book/instructors.md
SOURCES = ("book", "notebooks", "partlib", "tools")
PACKAGES = ("jupyter-book", "myst-nb", "Sphinx", "sphinx-book-theme", "sphinx-mathjax-offline")


def digest_of_sources() -> str:
    """The digest of all that the pages are made from."""
    sources = [ROOT / "_config.yml", ROOT / "_toc.yml", TIMES]
    for folder in SOURCES:
        sources += [p for p in (ROOT / folder).rglob("*") if p.is_file() and p.suffix != ".pyc"]
    where = (addresses.repository(), addresses.base_url())
    packages = (f"{p} {version(p)}" for p in PACKAGES)
    return notebooks.digest_of(sources, *packages, *where, str(site.opens_in_colab(ROOT, where[0])))


def is_new() -> bool:
    """Whether the pages are those that the sources make."""
    return PAGES.exists() and STAMP.exists() and STAMP.read_text() == digest_of_sources()


def render() -> int:
    """Render all pages, unless nothing changed since that went well; returns the exit status.

    Always all: Sphinx does not repeat the warnings of a page that it does not read again, and does
    not copy a changed style sheet when no page changed.
    """
    times.export(TIMES)
    digest = digest_of_sources()
    if is_new():
        print("  unchanged", flush=True)
        return 0
    STAMP.unlink(missing_ok=True)
    vendor.copy_mathjax(MATHJAX)
    lab.export(LAB)
    picture.draw_card(STATIC / "card.png")
    picture.draw_icon(STATIC / "favicon.png")
    for folder in (".doctrees", "html"):
        shutil.rmtree(BUILD / folder, ignore_errors=True)
    jupyter_book = "from jupyter_book.cli.main import main; main()"
    options = ["build", str(ROOT), "--warningiserror", "--keep-going", "--quiet"]
    command = [sys.executable, "-c", jupyter_book, *options]
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if status == 0:
        with PAGES.open("a", encoding="utf-8") as first:  # it only leads on, and names no icon
            first.write('<link rel="icon" href="_static/favicon.png">\n')
        notebooks.write(STAMP, digest)
    return status


def main() -> int:
    """Make the book; returns the exit status."""
    start = time.monotonic()
    print("Chapters", flush=True)
    try:
        notebooks.build()
    except notebooks.ChapterError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    executed = time.monotonic()
    print("Pages", flush=True)
    status = render()
    rendered = time.monotonic()
    if status:
        print("The pages have warnings or errors, see above.", file=sys.stderr)
        return status
    if status := links.main():
        return status
    print(f"  chapters {executed - start:.0f} s, pages {rendered - executed:.0f} s")
    print(f"The book: {PAGES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
