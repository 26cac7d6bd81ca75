"""Make the students' notebooks: each chapter with its stubs, without solutions or outputs.

    python -m tools.student

They are in `_build/student`. Left out are the cells tagged `hide-cell`, which are the solutions,
and those tagged `remove-cell`, which test the book; the one that sets up Colab stays. What is left
runs from top to bottom. Citations are written out. Links to the book's other pages lead to
BOOK_URL, see `tools.addresses`, or where that is not set to `_build/html`, which `make book` makes
beside them.
"""

import re
import shutil
import sys
from pathlib import Path

import nbformat
from docutils.nodes import make_id

from tools import addresses, colab, notebooks, slides
from tools.outputs import Notebook

LEFT_OUT = {"hide-cell", "remove-cell"}


def for_students(source: Path) -> Notebook:
    """A chapter as students get it, not run yet."""
    notebook = notebooks.read_chapter(source)

    def stays(cell: Notebook) -> bool:
        tags = set(cell.metadata.get("tags", []))
        return colab.TAG in tags or not LEFT_OUT & tags

    notebook.cells = [cell for cell in notebook.cells if stays(cell)]
    known = slides.citations()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = slides.cited(with_links(cell.source), known)
    return notebook


def with_links(text: str) -> str:
    """The text with its links to the book's pages as they are right in `_build/student`."""
    pages = addresses.base_url() or "../html/"

    def lead(match: re.Match[str]) -> str:
        page, slug = match.groups()
        titles = re.findall(r"^#+ (.+)$", (notebooks.ROOT / f"{page}.md").read_text("utf-8"), re.M)
        ids = {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-"): make_id(t) for t in titles}
        return f"]({pages}{page}.html{f'#{ids[slug]}' if slug else ''})"

    return re.sub(r"\]\(\.\./(book/[\w-]+)\.md(?:#([\w-]+))?\)", lead, text)


def make(folder: Path) -> list[Path]:
    """Write all students' notebooks to a folder, in place of what was there."""
    shutil.rmtree(folder, ignore_errors=True)
    made = []
    for source in notebooks.chapters() + notebooks.appendices():
        made.append(folder / f"{source.stem}.ipynb")
        notebooks.write(made[-1], nbformat.writes(for_students(source), indent=1) + "\n")
    return made


def main() -> int:
    """The command line; returns the exit status."""
    for path in make(notebooks.BUILD / "student"):
        print(f"  {path.relative_to(notebooks.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
