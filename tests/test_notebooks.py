"""The committed notebooks are in step with the chapters, and whole."""

import shutil
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
import yaml

from tools import colab, notebooks, outputs

ROOT = Path(__file__).parents[1]
CHAPTERS = notebooks.chapters() + notebooks.appendices()

each_chapter = pytest.mark.parametrize("source", CHAPTERS, ids=lambda path: path.stem)


def cells(notebook: Any) -> list[tuple[str, str, str, dict[str, Any]]]:
    """What the source decides: all but the outputs, and the alt text taken from them."""
    found = []
    for cell in notebook.cells:
        metadata = {k: dict(v) if isinstance(v, dict) else v for k, v in cell.metadata.items()}
        metadata.get("mystnb", {}).pop("image", None)
        if not metadata.get("mystnb", True):
            del metadata["mystnb"]
        found.append((cell.id, cell.cell_type, cell.source, metadata))
    return found


def executed(source: Path) -> Any:
    path = notebooks.target_of(source)
    assert path.exists(), f"{path.name} is missing: run `make notebooks`"
    return notebooks.read_notebook(path)


def test_there_are_chapters() -> None:
    assert CHAPTERS


@each_chapter
def test_notebook_is_in_step_with_its_source(source: Path) -> None:
    found = executed(source)
    expected = notebooks.read_chapter(source, colab.address_in(found))  # a fork has its own
    message = f"{source.stem} was changed on one side only: run `make notebooks`"
    assert cells(found) == cells(expected), message
    assert found.metadata == expected.metadata


@each_chapter
def test_notebook_ran_from_top_to_bottom(source: Path) -> None:
    code = [c for c in executed(source).cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))


@each_chapter
def test_nothing_to_stumble_over(source: Path) -> None:
    assert outputs.faults(executed(source)) == []


@each_chapter
def test_default_scale_is_cpu(source: Path) -> None:
    assert notebooks.default_scale(notebooks.read_chapter(source)) == "cpu"


def test_contents_lists_the_chapters_and_nothing_else_is_there() -> None:
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [c["file"] for part in contents["parts"] for c in part["chapters"]]
    listed = [Path(f).name for f in files if f.startswith("notebooks/")]
    assert listed == [c.stem for c in CHAPTERS]
    assert sorted(p.stem for p in notebooks.NOTEBOOKS.glob("*.ipynb")) == sorted(listed)


def code_cell(*run: dict[str, Any], **metadata: Any) -> Any:
    cell = nbformat.v4.new_code_cell("show()", metadata=metadata)
    cell.outputs = [nbformat.v4.new_output(**o) for o in run]
    return nbformat.v4.new_notebook(cells=[cell])


def display(data: dict[str, str], **about: str) -> dict[str, Any]:
    metadata = {"image/png": about} if about else {}
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def error(name: str) -> dict[str, Any]:
    return {"output_type": "error", "ename": name, "evalue": "", "traceback": []}


FIGURE = display({"image/png": "AAAA", "text/plain": "<figure>"}, alt="a digit")
WIDGET = display({outputs.WIDGET: "{}", "text/plain": "slider"})
STATIC = display({outputs.WIDGET: "{}", "text/html": "<p>0</p>"})


@pytest.mark.parametrize(
    ("run", "fault"),
    [
        ([display({"image/png": "AAAA"})], "without alt text"),
        ([FIGURE, FIGURE], "2 figures"),
        ([WIDGET], "a widget with no text/html"),
        ([stream("careful", name="stderr")], "stderr: careful"),
        ([error("KeyError")], "ends in KeyError"),
        ([display({"text/plain": "<Thing at 0x7f00deadbeef>"})], "address in memory"),
        ([stream("<function f at 0x7f00deadbeef>")], "address in memory"),
    ],
)
def test_faults_are_found(run: list[dict[str, Any]], fault: str) -> None:
    source = code_cell()
    done = outputs.finished(source, code_cell(*run))
    assert any(fault in found for found in outputs.faults(done)), outputs.faults(done)


def test_alt_text_of_a_figure_reaches_the_page() -> None:
    source = outputs.with_fixed_form(code_cell(tags=["keep"]))
    run = outputs.with_fixed_form(code_cell(FIGURE, execution={"started": "12:00"}))
    done = outputs.finished(source, run)
    assert outputs.faults(done) == []
    image = {"alt": "a digit", "classes": "dark-light"}
    assert done.cells[0].metadata == {"tags": ["keep"], "mystnb": {"image": image}}


@pytest.mark.parametrize(
    ("tag", "prompt"),
    [
        ("hide-input", "Show the code, which holds the answer"),
        ("hide-cell", "Show the solution"),
    ],
)
def test_what_is_folded_on_the_page_is_folded_in_jupyter(tag: str, prompt: str) -> None:
    source = outputs.with_fixed_form(code_cell(tags=[tag]))
    done = outputs.finished(source, outputs.with_fixed_form(code_cell(FIGURE)))
    prompts = {"code_prompt_show": prompt, "code_prompt_hide": "Hide it"}
    image = {"image": {"alt": "a digit", "classes": "dark-light"}}
    folded = {"tags": [tag], "jupyter": {"source_hidden": True}}
    assert source.cells[0].metadata == {**folded, "mystnb": prompts}
    assert done.cells[0].metadata == {**folded, "mystnb": {**prompts, **image}}


def test_a_question_hides_the_code_that_holds_its_answer() -> None:
    for source in CHAPTERS:
        for cell in notebooks.read_chapter(source).cells:
            if "interact.reveal(" in cell.source and cell.cell_type == "code":
                assert "hide-input" in cell.metadata.get("tags", []), cell.source


def test_widget_gives_way_to_its_static_picture() -> None:
    done = outputs.finished(code_cell(), code_cell(STATIC))
    assert list(done.cells[0].outputs[0].data) == ["text/html"]
    assert outputs.faults(done) == []


def test_pieces_of_a_stream_are_joined() -> None:
    pieces = [stream("a"), stream("b\n"), FIGURE, stream("c")]
    done = outputs.finished(code_cell(), code_cell(*pieces))
    assert [o.get("text") for o in done.cells[0].outputs] == ["ab\n", None, "c"]


def test_ids_come_from_the_text_and_differ() -> None:
    twice = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("same"), nbformat.v4.new_markdown_cell("same")]
    )
    ids = [c.id for c in outputs.with_fixed_form(twice).cells]
    assert len(set(ids)) == 2
    assert ids == [c.id for c in outputs.with_fixed_form(twice).cells]


@pytest.mark.parametrize(
    ("source", "scale"),
    [('SCALE = "cpu"', "cpu"), ("SCALE = 'gpu'  # later", "gpu"), ("scale = 1", None)],
)
def test_default_scale_is_read_from_the_parameters_cell(source: str, scale: str | None) -> None:
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    assert notebooks.default_scale(nbformat.v4.new_notebook(cells=[cell])) == scale
    cell.metadata.tags = []
    assert notebooks.default_scale(nbformat.v4.new_notebook(cells=[cell])) is None


@each_chapter
def test_a_chapter_saved_in_jupyterlab_changes_nothing(source: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(source, tmp_path / "chapter.md")
    manager = jupytext.TextFileContentsManager()
    manager.root_dir = str(tmp_path)
    notebook = manager.get("chapter.md")["content"]
    manager.save({"type": "notebook", "format": "json", "content": notebook}, "chapter.md")
    assert (tmp_path / "chapter.md").read_text() == source.read_text()


CHAPTER = """\
---
kernelspec:
  name: python3
  display_name: Python 3
  language: python
---

# A chapter

```{code-cell}
:tags: [parameters]

SCALE = "cpu"
```

```{code-cell}
print(SCALE)
```
"""


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A book of one small chapter; returns the chapter."""
    (tmp_path / "book" / "chapters").mkdir(parents=True)
    (tmp_path / "partlib").mkdir()
    (tmp_path / "partlib" / "idea.py").write_text("one = 1\n")
    for name, folder in {
        "ROOT": tmp_path,
        "CHAPTERS": tmp_path / "book" / "chapters",
        "NOTEBOOKS": tmp_path / "notebooks",
        "BUILD": tmp_path / "_build",
    }.items():
        monkeypatch.setattr(notebooks, name, folder)
    # In this process, so that the folders above hold; and without starting a second Python.
    monkeypatch.setattr(
        notebooks,
        "attempt_all",
        lambda sources, scale, jobs: [(s, *notebooks.attempt(s, scale)) for s in sources],
    )
    chapter = tmp_path / "book" / "chapters" / "01-one.md"
    chapter.write_text(CHAPTER)
    return chapter


def test_build_is_the_same_twice_and_skips_what_is_unchanged(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(notebooks.build()) == ["01-one"]
    target = notebooks.target_of(book)
    first = target.read_bytes()
    assert b"cpu" in first
    assert b"papermill" not in first

    runs: list[Path] = []
    run = notebooks.execute
    monkeypatch.setattr(notebooks, "execute", lambda s, scale: (runs.append(s), run(s, scale)))
    notebooks.build()
    assert runs == []  # nothing changed
    (notebooks.ROOT / "partlib" / "idea.py").write_text("one = 2\n")
    notebooks.build()
    assert len(runs) == 1  # the library changed
    assert target.read_bytes() == first
    target.write_text("{}")
    notebooks.build()
    assert len(runs) == 2  # the notebook was changed by hand
    assert target.read_bytes() == first
    book.write_text(CHAPTER + "\nMore.\n")
    notebooks.build()
    assert len(runs) == 3  # the chapter changed


def test_build_at_another_scale_leaves_the_committed_notebooks_alone(book: Path) -> None:
    notebooks.build("gpu")
    assert not notebooks.target_of(book).exists()
    done = notebooks.read_notebook(notebooks.BUILD / "notebooks-gpu" / "01-one.ipynb")
    assert done.cells[-1].outputs[0].text == "gpu\n"


def test_build_fails_with_the_cell_that_failed(book: Path) -> None:
    book.write_text(CHAPTER + "\n```{code-cell}\nbroken = 1 / 0\n```\n")
    with pytest.raises(notebooks.ChapterError, match=r"01-one(.|\n)*broken(.|\n)*ZeroDivision"):
        notebooks.build()
    assert not notebooks.target_of(book).exists()
    with pytest.raises(notebooks.ChapterError, match="broken"):
        notebooks.build()  # and again: a failure leaves no stamp


def test_build_fails_without_a_cpu_default(book: Path) -> None:
    book.write_text(CHAPTER.replace('"cpu"', '"gpu"'))
    with pytest.raises(notebooks.ChapterError, match='SCALE = "cpu"'):
        notebooks.build()


def test_build_fails_on_what_readers_would_stumble_over(book: Path) -> None:
    book.write_text(CHAPTER + "\n```{code-cell}\nimport sys\nprint('oh', file=sys.stderr)\n```\n")
    with pytest.raises(notebooks.ChapterError, match="writes to stderr: oh"):
        notebooks.build()
    assert not notebooks.target_of(book).exists()
