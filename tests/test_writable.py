"""A place that cannot be written to is said before the work whose result it should hold."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from trained import AT, QUICK, images, net, trained
from typer.testing import CliRunner

from partlib import checkpoints, cli, recipes, runs, training
from partlib.training import fit


def test_what_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    there, new = tmp_path / "there", tmp_path / "a" / "b" / "new"
    there.write_text("kept")
    for path in (there, new):
        checkpoints.check_writable(path)
    assert there.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [there]


def test_a_folder_and_what_is_in_no_folder_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "c"
    with pytest.raises(ValueError, match=f"^mine: a file is needed, found the folder {tmp_path}$"):
        checkpoints.check_writable(tmp_path, name="mine")
    needed = (
        f"path: a file that can be written is needed, found {below} ({below.parent} is no folder)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(needed)}$"):
        checkpoints.check_writable(below)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(ValueError, match=re.escape(f"a/c ({tmp_path} cannot be written to)")):
        checkpoints.check_writable(tmp_path / "a" / "c")


def test_training_refuses_a_checkpoint_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    model = net()
    before = checkpoints.weights_sha256(model)
    with pytest.raises(ValueError, match=r"^checkpoint: a file that can be written .*file/c \("):
        fit(model, images(), AT, QUICK, checkpoint=tmp_path / "file" / "c", progress=False)
    assert checkpoints.weights_sha256(model) == before


def test_a_finished_run_is_read_also_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, config = tmp_path / "c", replace(QUICK, epochs=1)
    whole = trained(AT, config, checkpoint=path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert trained(AT, config, checkpoint=path, seed=99) == whole


@pytest.fixture
def _no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "fit", lambda *_, **__: pytest.fail("it was trained"))


@pytest.mark.usefixtures("_no_training")
def test_a_run_refuses_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    recipe = recipes.recipe("scene-digits/small")
    with pytest.raises(ValueError, match=r"^folder: a file that can be written is needed, found"):
        runs.run(
            recipe, recipe.method("at"), folder=tmp_path / "file" / "run", n_train=32, n_test=10
        )


@pytest.mark.usefixtures("_no_training")
@pytest.mark.parametrize(("option", "name"), [("--out", "folder"), ("--record", "record")])
def test_the_command_line_refuses_them_before_training(
    option: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    call = ["train", "scene-digits", "at", "--n-train", "32", "--n-test", "10", "--epochs", "1"]
    found = CliRunner().invoke(cli.app, [*call, option, "file/it"])
    assert isinstance(found.exception, ValueError)
    assert str(found.exception).startswith(f"{name}: a file that can be written is needed, found")
