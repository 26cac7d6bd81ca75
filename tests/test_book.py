"""The pages are rendered whole, and only when something changed."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tools import book, notebooks


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A book in a folder of its own; rendering it notes, and returns, the exit status 0."""
    (tmp_path / "book").mkdir()
    for name in ("_config.yml", "_toc.yml", "book/book.css"):
        (tmp_path / name).write_text("old")
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    monkeypatch.setattr(book, "ROOT", tmp_path)
    monkeypatch.setattr(book, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(book, "STAMP", tmp_path / "_build" / "stamps" / "pages")
    monkeypatch.setattr(book.addresses, "repository", lambda: "")
    monkeypatch.setattr(book.site, "opens_in_colab", lambda *_: False)
    monkeypatch.setattr(book, "STATIC", tmp_path / "_build" / "static")
    monkeypatch.setattr(book, "MATHJAX", tmp_path / "_build" / "static" / "mathjax")
    monkeypatch.setattr(book, "LAB", tmp_path / "_build" / "static" / "lab")
    monkeypatch.setattr(book, "TIMES", tmp_path / "_build" / "times.md")
    monkeypatch.setattr(book.times, "table", lambda: "times")
    monkeypatch.setattr(book.lab, "export", lambda to: notebooks.write(to / "images.js", "lab"))
    monkeypatch.setattr(book, "PAGES", tmp_path / "_build" / "html" / "index.html")
    statuses: list[int] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert "--warningiserror" in command
        assert not book.PAGES.parent.exists()  # what was there before is gone
        assert (book.MATHJAX / "tex-chtml.js").stat().st_size > 500_000
        assert (book.LAB / "images.js").exists()
        assert Image.open(book.STATIC / "card.png").size == (1200, 630)
        assert Image.open(book.STATIC / "favicon.png").size == (64, 64)
        assert list((book.MATHJAX / "output/chtml/fonts/woff-v2").glob("*.woff"))
        notebooks.write(book.PAGES, "the book")
        statuses.append(0)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(book.subprocess, "run", run)
    return statuses


def test_nothing_is_rendered_when_nothing_changed(runs: list[int]) -> None:
    assert book.render() == book.render() == 0
    assert len(runs) == 1


@pytest.mark.parametrize("name", ["_config.yml", "_toc.yml", "book/book.css"])
def test_a_change_renders_anew(runs: list[int], name: str) -> None:
    book.render()
    (book.ROOT / name).write_text("new")
    book.render()
    assert len(runs) == 2


def test_new_times_render_anew(runs: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    book.render()
    monkeypatch.setattr(book.times, "table", lambda: "other times")
    book.render()
    assert len(runs) == 2


def test_another_address_renders_anew(runs: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    book.render()
    monkeypatch.setattr(book.addresses, "repository", lambda: "https://github.com/owner/name")
    book.render()
    monkeypatch.setenv("BOOK_URL", "https://owner.github.io/name")
    book.render()
    assert len(runs) == 3


def test_committed_notebooks_render_anew(runs: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Colab opens what is committed, so the pages' buttons hang on it."""
    book.render()
    monkeypatch.setattr(book.site, "opens_in_colab", lambda *_: True)
    book.render()
    assert len(runs) == 2


def test_lost_pages_are_rendered_anew(runs: list[int]) -> None:
    book.render()
    book.PAGES.unlink()
    book.render()
    assert len(runs) == 2


def test_a_failure_is_told_again(runs: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    book.render()
    (book.ROOT / "_toc.yml").write_text("bad")

    def fail(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        notebooks.write(book.PAGES, "pages with warnings")
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(book.subprocess, "run", fail)
    assert book.render() == 1
    assert book.render() == 1
