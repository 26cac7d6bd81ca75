"""What stands in two places at the top of the repository says the same in both."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import partlib
from tools import readme

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_versions_are_in_step() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"] == partlib.__version__


def test_titles_are_in_step() -> None:
    title = yaml.safe_load((ROOT / "_config.yml").read_text())["title"]
    assert (ROOT / "book" / "index.md").read_text().startswith(f"# {title}\n")
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["title"].startswith(title)
    assert title in (ROOT / "LICENSE-TEXT").read_text()


def test_the_readme_quotes_the_results() -> None:
    quoted = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.written(quoted) == quoted, "run `python -m tools.readme`"


def test_a_readme_without_its_two_comments_is_refused() -> None:
    with pytest.raises(ValueError, match=r"readme: .*Made of the results"):
        readme.written("# A title\n")


def test_environment_is_in_step_with_pyproject() -> None:
    *conda, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert conda == [f"python {PROJECT['requires-python']}", "pip"]
    (editable,) = pip["pip"]
    extras = re.fullmatch(r"-e \.\[([\w,]+)\]", editable)
    assert extras, editable
    assert f"'.[{extras.group(1)}]'" in (ROOT / "Makefile").read_text()
    assert set(extras.group(1).split(",")) <= set(PROJECT["optional-dependencies"])


def test_makefile_refuses_the_pythons_that_pyproject_refuses() -> None:
    low, high = re.findall(r"3\.(\d+)", PROJECT["requires-python"])
    condition = f"not (3, {low}) <= sys.version_info[:2] < (3, {high})"
    assert condition in (ROOT / "Makefile").read_text()


def test_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))
    assert set(phony.split()) == targets
    listing = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert set(re.findall(r"^ +make ([\w-]+) +\S", listing, re.MULTILINE)) == targets


def test_jupyterlab_knows_the_settings_that_make_lab_gives_it() -> None:
    folder = ROOT / "tools" / "jupyterlab"
    assert f"$(CURDIR)/{folder.relative_to(ROOT)}\n" in (ROOT / "Makefile").read_text()
    schemas = Path(sys.prefix, "share", "jupyter", "lab", "schemas")
    for plugin, settings in json.loads((folder / "overrides.json").read_text()).items():
        extension, name = plugin.split(":")
        known = json.loads((schemas / extension / f"{name}.json").read_text())["properties"]
        assert settings.keys() <= known.keys()


def test_ci_runs_the_two_commands() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert "set -eu" in lines
    assert [line for line in lines if line in ("make test", "make book")] == [
        "make test",
        "make book",
    ]


def files() -> list[Path]:
    """The files that are, or would be, committed."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_place_on_one_machine() -> None:
    machine = re.compile(r"(?<![\w.~/-])/(?:home|root|Users|work|opt|tmp)/\w")
    found = []
    for path in files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or weights
        if match := machine.search(text):
            found.append(f"{path.relative_to(ROOT)}: {text[match.start() : match.start() + 60]!r}")
    assert found == []
