"""Make the students' notebooks: each chapter with its stubs, without solutions or outputs.

    python -m tools.student

They are in `_build/student`. Left out are the cells tagged `hide-cell`, which are the solutions,
and those tagged `remove-cell`, which test the book; the one that sets up Colab stays. What is left
runs from top to bottom.
"""

import shutil
import sys
from pathlib import Path

import nbformat

from tools import colab, notebooks
from tools.outputs import Notebook

LEFT_OUT = {"hide-cell", "remove-cell"}


def for_students(source: Path) -> Notebook:
    """A chapter as students get it, not run yet."""
    notebook = notebooks.read_chapter(source)

    def stays(cell: Notebook) -> bool:
        tags = set(cell.metadata.get("tags", []))
        return colab.TAG in tags or not LEFT_OUT & tags

    notebook.cells = [cell for cell in notebook.cells if stays(cell)]
    return notebook


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
