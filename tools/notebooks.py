"""Make the executed notebooks from the chapters' text.

    python -m tools.notebooks [--scale cpu|gpu|paper] [--jobs N]

A chapter's only source is `book/chapters/NN-name.md`, a MyST text notebook; an appendix that runs
is `aN-name.md`. Papermill runs it. At the default scale, cpu, the result is
`notebooks/NN-name.ipynb`, which is committed; at another scale it is
`_build/notebooks-SCALE/NN-name.ipynb`. A chapter is run again only when something that it depends
on has changed: its text, the library, the results, or the packages' versions.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from tools import addresses, colab
from tools.outputs import Notebook, faults, finished, with_fixed_form

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ROOT / "book" / "chapters"
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "_build"
SCALES = ("cpu", "gpu", "paper")
TOOLS = ("addresses.py", "colab.py", "notebooks.py", "outputs.py")  # what makes a notebook
PACKAGES = (
    *("torch", "torchvision", "numpy", "scipy", "pandas", "scikit-learn"),
    *("matplotlib", "seaborn", "ipywidgets"),
)


class ChapterError(Exception):
    """A chapter does not become a notebook; the message says which and why."""


def chapters() -> list[Path]:
    """The chapters' sources, in order."""
    return sorted(CHAPTERS.glob("[0-9][0-9]-*.md"))


def appendices() -> list[Path]:
    """The sources of the appendices that are run, in order."""
    return sorted(CHAPTERS.glob("a[0-9]-*.md"))


def target_of(source: Path, scale: str = "cpu") -> Path:
    """Where the executed notebook of a chapter goes."""
    folder = NOTEBOOKS if scale == "cpu" else BUILD / f"notebooks-{scale}"
    return folder / f"{source.stem}.ipynb"


def read_chapter(source: Path, address: str | None = None) -> Notebook:
    """A chapter's text as a notebook without outputs, in the form in which it is committed.

    Args:
        source: the chapter.
        address: of the repository that Colab installs the library from, "" for none; by default
            this repository's.
    """
    notebook = jupytext.read(source, fmt="md:myst")
    first = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    setup = colab.setup_cell(addresses.repository() if address is None else address)
    notebook.cells.insert(first, setup)
    return with_fixed_form(notebook)


def read_notebook(path: Path) -> Notebook:
    """An executed notebook."""
    return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)


def default_scale(notebook: Notebook) -> str | None:
    """The SCALE that the cell tagged `parameters` sets, or None where no cell does."""
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            match = re.search(r"""^SCALE\s*=\s*["'](\w+)["']""", cell.source, re.MULTILINE)
            return match.group(1) if match else None
    return None


def execute(source: Path, scale: str) -> None:
    """Run a chapter through papermill and write its notebook.

    Raises:
        ChapterError: A cell failed, or the notebook has a fault.
    """
    notebook = read_chapter(source)
    if default_scale(notebook) != "cpu":
        raise ChapterError('the cell tagged "parameters" must set SCALE = "cpu"')
    # These two stay, so that a failed run can be opened and looked at.
    before = BUILD / "run" / f"{source.stem}-{scale}.ipynb"
    after = before.with_name(f"{source.stem}-{scale}-executed.ipynb")
    write(before, nbformat.writes(notebook))
    NOTEBOOKS.mkdir(exist_ok=True)
    try:
        papermill.execute_notebook(
            str(before),
            str(after),
            # With no parameter papermill adds no cell, and the text's own default is cpu.
            parameters={} if scale == "cpu" else {"SCALE": scale},
            kernel_name="python3",
            cwd=str(NOTEBOOKS),
            progress_bar=False,
            extra_arguments=["--log-level=ERROR"],
        )
    except PapermillExecutionError as error:
        message = str(error)
        if not sys.stderr.isatty():
            message = re.sub(r"\x1b\[[0-9;]*m", "", message)
        raise ChapterError(message) from error
    done = finished(notebook, read_notebook(after))
    if found := faults(done):
        raise ChapterError("\n".join(found))
    write(target_of(source, scale), nbformat.writes(done, indent=1) + "\n")


def attempt(source: Path, scale: str) -> tuple[str, float]:
    """Run a chapter. Returns what went wrong, "" for nothing, and the seconds it took."""
    start = time.monotonic()
    problem = ""
    try:
        execute(source, scale)
    except ChapterError as error:
        problem = str(error)
    return problem, time.monotonic() - start


def attempt_all(
    sources: list[Path], scale: str, jobs: int | None
) -> Iterator[tuple[Path, str, float]]:
    """Run chapters side by side, each with its share of the cores; yield them as they end."""
    cores = os.cpu_count() or 1
    if jobs is None:
        jobs = min(4, cores) if scale == "cpu" else 1
    jobs = max(1, min(jobs, len(sources)))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // jobs)))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn) as pool:
        running = {pool.submit(attempt, source, scale): source for source in sources}
        for future in as_completed(running):
            yield (running[future], *future.result())


def build(scale: str = "cpu", jobs: int | None = None) -> dict[str, float]:
    """Bring every notebook in step with its chapter.

    Args:
        scale: "cpu", "gpu" or "paper".
        jobs: How many chapters to run at a time; by default up to four on a CPU, one on a GPU.

    Returns:
        The seconds that each chapter took when it was last run.

    Raises:
        ChapterError: A chapter failed. The others have been made all the same.
    """
    sources = chapters() + appendices()
    if not sources:
        raise ChapterError(f"there is no chapter in {CHAPTERS.relative_to(ROOT)}")
    surroundings = digest_of_surroundings()
    keys = {source: digest_of([source], scale, surroundings) for source in sources}
    seconds = {}
    for source in sources:
        took_before = seconds_if_unchanged(source, scale, keys[source])
        if took_before is not None:
            seconds[source.stem] = took_before
            print(f"  {source.stem:<24} unchanged", flush=True)

    problems = []
    stale = [source for source in sources if source.stem not in seconds]
    for source, problem, took in attempt_all(stale, scale, jobs):
        print(f"  {source.stem:<24} {'FAILED' if problem else f'{took:5.0f} s'}", flush=True)
        if problem:
            problems.append(f"{source.relative_to(ROOT)}\n{problem}")
            continue
        seconds[source.stem] = round(took, 1)
        made = digest_of([target_of(source, scale)])
        stamp = {"key": keys[source], "notebook": made, "seconds": seconds[source.stem]}
        write(stamp_of(source, scale), json.dumps(stamp))

    timings = {"scale": scale, "seconds": dict(sorted(seconds.items()))}
    write(BUILD / "timings.json", json.dumps(timings, indent=1) + "\n")
    if problems:
        raise ChapterError("\n\n".join(problems))
    return seconds


def stamp_of(source: Path, scale: str) -> Path:
    """Where it is noted what a chapter was last made from, and how long that took."""
    return BUILD / "stamps" / f"{source.stem}-{scale}.json"


def seconds_if_unchanged(source: Path, scale: str, key: str) -> float | None:
    """The seconds that the chapter took when it was made, or None if it must be made anew."""
    target = target_of(source, scale)
    if not (stamp_of(source, scale).exists() and target.exists()):
        return None
    stamp: dict[str, Any] = json.loads(stamp_of(source, scale).read_text())
    unchanged = stamp["key"] == key and stamp["notebook"] == digest_of([target])
    return float(stamp["seconds"]) if unchanged else None


def digest_of_surroundings() -> str:
    """The digest of all that a chapter's outputs depend on, besides its text."""
    files = [p for p in (ROOT / "tools").glob("*.py") if p.name in TOOLS]
    for folder in ("partlib", "results"):
        files += [p for p in (ROOT / folder).rglob("*") if p.is_file() and p.suffix != ".pyc"]
    packages = (f"{p} {version(p)}" for p in PACKAGES)
    return digest_of(files, platform.python_version(), addresses.repository(), *packages)


def digest_of(files: list[Path], *more: str) -> str:
    """One digest of the files' names and contents and of some strings."""
    total = hashlib.sha256(json.dumps(more).encode())
    for path in sorted(files):
        total.update(f"{path.relative_to(ROOT)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Make the executed notebooks from the chapters.")
    parser.add_argument("--scale", choices=SCALES, default="cpu")
    parser.add_argument("--jobs", type=int, help="chapters to run at a time")
    args = parser.parse_args()
    try:
        build(args.scale, args.jobs)
    except ChapterError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
