"""The students' notebooks: every stub and check in, every solution out, and they run."""

import ast
import builtins
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from partlib.check import CHECKS, NOT_YET
from tools import notebooks, student

SOURCES = notebooks.chapters() + notebooks.appendices()
each_chapter = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def cells(source: Path) -> list[str]:
    return [c.source for c in student.for_students(source).cells if c.cell_type == "code"]


def names_in(code: str) -> tuple[set[str], set[str]]:
    """The names that some code uses, and those that it makes."""
    used, made = set(), set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else made).add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            made.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            made |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.arg):
            made.add(node.arg)
    return used, made


@each_chapter
def test_solutions_are_out_and_stubs_are_in(source: Path) -> None:
    whole = [c.source for c in notebooks.read_chapter(source).cells if c.cell_type == "code"]
    left = cells(source)
    assert not [cell for cell in left if re.search("_solution|Solution", cell)]
    stubs = [cell for cell in whole if "# your" in cell]
    assert stubs
    assert [cell for cell in left if "# your" in cell] == stubs
    assert all(re.search(r"^check\.\w+\(\w+\)$", cell, re.MULTILINE) for cell in stubs)


LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


@pytest.mark.parametrize("address", ["", "https://example.org/book/"])
def test_links_lead_to_the_pages(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOK_URL", address)
    folder, names = notebooks.BUILD / "student", {source.stem for source in SOURCES}
    pages = {f"{p.stem}.html" for p in (notebooks.ROOT / "book").glob("*.md")}
    found = [
        cell.source for source in SOURCES for cell in student.for_students(source).cells
        if cell.cell_type == "markdown"
    ]  # fmt: skip
    local = [(folder / link).resolve() for text in found for link in LINK.findall(text)]
    book = [path for path in local if path.parent != folder]
    assert {path.stem for path in local if path.parent == folder} <= names
    assert {path.parent for path in book} <= {notebooks.BUILD / "html" / "book"}
    assert {path.name for path in book} <= pages
    assert bool(book) != bool(address)
    assert "/mathematics.html#student-s-interval)" in "\n".join(found), "the id on the page"
    assert ("](https://example.org/book/book/lab.html)" in "\n".join(found)) == bool(address)


@each_chapter
def test_the_first_code_sets_up_colab(source: Path) -> None:
    assert "google.colab" in cells(source)[0]


@each_chapter
def test_nothing_is_used_that_only_a_solution_makes(source: Path) -> None:
    made = set(dir(builtins)) | {"__name__"}
    for cell in cells(source):
        used, new = names_in(cell)
        made |= new
        assert used <= made, used - made


def test_every_exercise_is_asked() -> None:
    text = "\n".join(cell for source in SOURCES for cell in cells(source))
    asked = re.findall(r"^check\.(\w+)\(", text, re.MULTILINE)
    assert sorted(asked) == sorted(CHECKS)


def test_notebooks_replace_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "00-old.ipynb").write_text("{}")
    made = student.make(tmp_path / "student")
    assert [path.stem for path in made] == [source.stem for source in SOURCES]
    assert sorted(made) == sorted((tmp_path / "student").iterdir())
    for path in made:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert not any(cell.get("outputs") for cell in notebook.cells)
        assert json.loads(path.read_text())["metadata"]["kernelspec"]["language"] == "python"


def test_a_chapter_runs_and_its_checks_wait(capsys: pytest.CaptureFixture[str]) -> None:
    (source,) = (path for path in notebooks.chapters() if path.stem.startswith("08"))
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells(source):
        exec(compile(cell, source.name, "exec"), names)
    said = capsys.readouterr().out
    stubs = sum("# your" in cell for cell in cells(source))
    assert len(re.findall(f"'text/plain': '`.*?: {NOT_YET}'", said)) == stubs >= 3
