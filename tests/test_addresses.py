"""The addresses of the repository and the pages, and what the site and Colab make of them."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import nbformat
import pytest

from tools import addresses, colab, links, site

GITHUB = "https://github.com/owner/name"
GITLAB = "https://gitlab.com/owner/name"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("BOOK_REPOSITORY", raising=False)
    monkeypatch.delenv("BOOK_URL", raising=False)
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    monkeypatch.setattr(addresses, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("https://github.com/owner/name.git", GITHUB),
        ("https://github.com/owner/name/", GITHUB),
        ("https://user:secret@github.com/owner/name", GITHUB),
        ("git@github.com:owner/name.git", GITHUB),
        ("ssh://git@gitlab.com/owner/some.name.git", "https://gitlab.com/owner/some.name"),
        ("https://bitbucket.org/owner/name", "https://bitbucket.org/owner/name"),
        ("../elsewhere", ""),
        ("https://example.org/owner/name", ""),
        ("https://github.com.example.org/owner/name", ""),
    ],
)
def test_the_repository_is_where_git_got_it(checkout: Path, origin: str, address: str) -> None:
    assert addresses.repository() == ""
    subprocess.run(["git", "-C", str(checkout), "remote", "add", "origin", origin], check=True)
    assert addresses.repository() == address


def test_a_machine_without_git_has_no_address(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    assert addresses.repository() == ""


def test_the_environment_comes_first(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["git", "-C", str(checkout), "remote", "add", "origin", "git@gitlab.com:other/one"]
    subprocess.run(command, check=True)
    monkeypatch.setenv("BOOK_REPOSITORY", GITHUB)
    assert addresses.repository() == GITHUB
    monkeypatch.setenv("BOOK_REPOSITORY", "nowhere")
    with pytest.raises(ValueError, match=r"BOOK_REPOSITORY: an address .* found 'nowhere'"):
        addresses.repository()


def test_the_pages_are_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOOK_URL", raising=False)
    assert addresses.base_url() == ""
    for given in ("https://owner.github.io/name", "https://owner.github.io/name/"):
        monkeypatch.setenv("BOOK_URL", given)
        assert addresses.base_url() == "https://owner.github.io/name/"
    monkeypatch.setenv("BOOK_URL", "owner.github.io")
    with pytest.raises(ValueError, match=r"BOOK_URL: .* found 'owner.github.io'"):
        addresses.base_url()


def options(monkeypatch: pytest.MonkeyPatch, address: str) -> Any:
    monkeypatch.setattr(site, "repository", lambda: address)
    config = SimpleNamespace(html_baseurl="", html_theme_options={"repository_url": "default"})
    site.set_addresses(SimpleNamespace(srcdir=addresses.ROOT), config)  # type: ignore[arg-type]
    return config.html_theme_options


def test_no_address_no_button(monkeypatch: pytest.MonkeyPatch) -> None:
    found = options(monkeypatch, "")
    assert not any([found["repository_url"], found["use_repository_button"]])
    assert not any([found["use_issues_button"], *found["launch_buttons"].values()])


def test_colab_opens_what_is_committed_on_github_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in (GITHUB, GITLAB):
        folder = tmp_path / address.split("/")[2]
        folder.mkdir()
        notebook = nbformat.v4.new_notebook(cells=[colab.setup_cell(address)])
        (folder / "chapter.ipynb").write_text(nbformat.writes(notebook))
        commit(folder)
    monkeypatch.setattr(site, "git", lambda _, *command: addresses.git(folder, *command))
    folder = tmp_path / "github.com"
    assert options(monkeypatch, GITHUB)["launch_buttons"]["colab_url"] == site.COLAB
    assert not options(monkeypatch, f"{GITHUB}2")["launch_buttons"]["colab_url"]
    folder = tmp_path / "gitlab.com"
    found = options(monkeypatch, GITLAB)
    assert found["use_repository_button"]
    assert found["use_issues_button"]
    assert not found["launch_buttons"]["colab_url"]


def commit(folder: Path) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "a"]):
        subprocess.run(["git", "-C", str(folder), *command], check=True)


CHAPTER = "# A chapter\n\nIts first words, which say\nwhat it is about.\n"


@pytest.fixture
def small_book(tmp_path: Path) -> Path:
    """A book of two pages with the settings of this one that the extension needs."""
    (tmp_path / "index.md").write_text("# The front\n\nHello.\n")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    cells = [nbformat.v4.new_markdown_cell(CHAPTER)]
    cells.append(colab.setup_cell(GITHUB))
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    (tmp_path / "chapter.ipynb").write_text(nbformat.writes(notebook))
    (tmp_path / "_toc.yml").write_text("{format: jb-book, root: index, chapters: [file: chapter]}")
    (tmp_path / "_config.yml").write_text(
        "title: A book\nexecute: {execute_notebooks: 'off'}\n"
        "sphinx: {extra_extensions: [tools.site], config: {html_context: {default_mode: auto}}}\n"
    )
    return tmp_path


def render(folder: Path, monkeypatch: pytest.MonkeyPatch, **environment: str) -> tuple[Path, str]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    jupyter_book = "from jupyter_book.cli.main import main; main()"
    subprocess.run(
        [sys.executable, "-c", jupyter_book, "build", str(folder), "--quiet", "--warningiserror"],
        cwd=links.BUILD.parent,
        check=True,
    )
    html = folder / "_build" / "html"
    return html, (html / "chapter.html").read_text()


@pytest.mark.slow
def test_a_book_with_addresses(small_book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = "https://owner.github.io/name/"
    commit(small_book)
    html, page = render(small_book, monkeypatch, BOOK_REPOSITORY=GITHUB, BOOK_URL=base)
    assert f'href="{site.COLAB}/github/owner/name/blob/main/chapter.ipynb"' in page
    assert f'href="{GITHUB}"' in page
    assert f'href="{GITHUB}/issues/new' in page
    assert (
        '<meta name="description" content="Its first words, which say what it is about.">' in page
    )
    assert f'<meta property="og:image" content="{base}_static/card.png">' in page
    assert '<meta property="og:title" content="A chapter">' in page
    assert f'<link rel="canonical" href="{base}chapter.html"' in page
    found = ElementTree.parse(html / "sitemap.xml").getroot()
    assert [url[0].text for url in found] == [f"{base}chapter.html", f"{base}index.html"]
    assert f'<base href="{base}">' in (html / "404.html").read_text()


@pytest.mark.slow
def test_a_book_without_addresses(small_book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = {"BOOK_REPOSITORY": "", "BOOK_URL": "", "GIT_DIR": str(small_book)}
    html, page = render(small_book, monkeypatch, **nowhere)
    for gone in ("colab", "github", "og:image", "canonical", "thebe", "unpkg"):
        assert gone not in page.lower(), gone
    assert 'data-default-mode="auto"' in page
    assert not (html / "sitemap.xml").exists()
    assert (html / "404.html").exists()


def test_what_confuses_screen_readers_is_mended() -> None:
    signature = "<dt>f(<dl>\n<dd><em>x</em>,</dd>\n<dd><em>y</em></dd>\n</dl>)</dt>"
    lines = (
        '<dt>f(<span>\n<span class="sig-line"><em>x</em>,</span>\n'
        '<span class="sig-line"><em>y</em></span>\n</span>)</dt>'
    )
    whole = '<dl class="py"><dt>name</dt><dd>text</dd></dl><dl><dt>a</dt><dd>b</dd></dl>'
    assert site.mended(f"{whole}{signature}{whole}") == f"{whole}{lines}{whole}"
    assert site.mended('<div role="doc-biblioentry">') == '<div role="listitem">'
    table = '<div style="overflow-x:auto"><table></table></div>'
    assert 'tabindex="0"' in site.mended(table)
