"""The notebooks' first cell: nothing on a laptop; on Colab the library, and only the library."""

import os
import subprocess
import sys
import sysconfig
import types
from pathlib import Path

import nbformat
import pytest
import torch

import partlib
from partlib import doctor
from tools import colab, notebooks

ADDRESS = "https://github.com/owner/name"
CHAPTERS = notebooks.chapters()


def test_every_notebook_begins_with_it() -> None:
    for source in CHAPTERS:
        code = [c for c in notebooks.read_chapter(source, ADDRESS).cells if c.cell_type == "code"]
        assert code[0].source == colab.setup_cell(ADDRESS).source
        assert code[0].metadata["tags"] == ["colab", "remove-cell"]
        assert colab.TAG not in code[1].metadata.get("tags", [])


@pytest.mark.parametrize("address", ["", ADDRESS])
def test_it_is_short_and_knows_its_address(address: str) -> None:
    cell = colab.setup_cell(address)
    assert len(cell.source.splitlines()) < 20
    assert max(map(len, cell.source.splitlines())) <= 100
    assert cell.source.startswith(
        "# On Colab: installs" if address else "# On Colab: the book's library must be installed"
    )
    assert (f'"partlib @ git+{ADDRESS}@v{partlib.__version__}"' in cell.source) == bool(address)
    assert colab.address_in(nbformat.v4.new_notebook(cells=[cell])) == address


@pytest.mark.parametrize("address", ["", ADDRESS])
def test_on_a_laptop_it_does_nothing(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("ran something"))
    monkeypatch.setattr(doctor, "welcome", lambda: pytest.fail("looked at the machine"))
    names: dict[str, object] = {}
    exec(colab.setup_cell(address).source, names)
    assert set(names) - {"__builtins__"} == {"importlib", "subprocess", "sys"}


def test_what_is_there_is_not_installed_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("installed"))
    monkeypatch.setattr(doctor, "welcome", lambda: "Hello.")
    exec(colab.setup_cell(ADDRESS).source, {})
    assert capsys.readouterr().out == "Hello.\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A Python that has all packages but partlib, as Colab's has; returns its folder."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.suffix != ".pth" and "partlib" not in path.name:
            (packages / path.name).symlink_to(path)
    (packages / "google_colab.pth").write_text(
        "import sys, types; sys.modules['google.colab'] = types.ModuleType('google.colab')\n"
    )
    return packages


def run_cell(packages: Path, address: str, **more: str) -> subprocess.CompletedProcess[str]:
    python = packages.parents[2] / "bin" / "python"
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | more
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        [python, "-c", colab.setup_cell(address).source],
        cwd=packages,  # not the repository, whose partlib would be found
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_on_colab_it_installs_the_library_alone(machine: Path, tmp_path: Path) -> None:
    # What is committed, under the address and the tag that the cell asks for.
    published = tmp_path / "published"
    command = ["git", "clone", "--quiet", str(notebooks.ROOT), str(published)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("not a git checkout")
    tag = ["git", "-C", str(published), "tag", "--force", f"v{partlib.__version__}"]
    subprocess.run(tag, check=True, capture_output=True)
    there = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{published}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
    }
    done = run_cell(machine, ADDRESS, **there)
    if "No matching distribution found for hatchling" in done.stderr:
        pytest.skip("the package that builds partlib cannot be had here")
    assert done.returncode == 0, done.stderr
    new = {path.name for path in machine.iterdir() if not path.is_symlink()}
    assert new >= {"partlib", f"partlib-{partlib.__version__}.dist-info", "google_colab.pth"}
    assert len(new) == 3, "torch, numpy and the others are those that were there"
    assert "This machine has" in done.stdout
    if not torch.cuda.is_available():
        assert "There is no GPU" in done.stdout
    assert 'SCALE = "cpu": one adversarial training run takes about' in done.stdout


def test_without_an_address_it_says_so(machine: Path) -> None:
    done = run_cell(machine, "")
    assert done.returncode == 1
    wheel = f"partlib-{partlib.__version__}-py3-none-any.whl"
    assert f"ImportError: partlib {partlib.__version__} is not installed" in done.stderr
    assert f"Upload it under Files, then run: %pip install --no-deps {wheel}" in done.stderr


def test_welcome_names_every_scale_that_the_machine_can_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "minutes", lambda *_: 2.4)
    monkeypatch.setattr(doctor.runs, "best_device", lambda: torch.device("cpu"))
    said = doctor.welcome()
    assert 'SCALE = "cpu": one adversarial training run takes about 2 minutes.' in said
    assert '"gpu"' not in said
    assert "There is no GPU" in said
    monkeypatch.setattr(doctor.runs, "best_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(doctor.environment, "describe", lambda _: {"device": "Tesla T4"})
    said = doctor.welcome()
    assert said.startswith("This machine has Tesla T4.")
    assert said.count("takes about 2 minutes") == 3
    assert "no GPU" not in said
