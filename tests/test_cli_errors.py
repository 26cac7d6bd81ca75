"""The command line: an error is one line, on stderr, and an exit code."""

import sys
from pathlib import Path
from typing import Any

import pytest
from commanded import TINY, exit_code

from partlib import cli


@pytest.mark.usefixtures("tiny_zoo")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "mnist", "at"], "recipe: one of"),
        (["train", "scene-digits", "magic"], "method: one of natural, at, trades, mart, part"),
        (["train", "scene-digits", "at", "--eps-low", "7"], "settings: at takes none"),
        (["train", "scene-digits", "part", "--eps-low", "9"], "eps_low: "),
        (["train", "scene-digits", "part", "--base", "natural"], "base: one of at, trades, mart"),
        (["train", "scene-digits", "mart", "--base", "at"], "settings: mart takes none"),
        (["train", "scene-digits", "at", "--epochs", "0"], "epochs: "),
        (["train", "scene-digits", "at", "--n-train", "0"], "n: at least 1 is needed, found 0"),
        (["train", "scene-digits", "at", "--seed", "-1"], "seed: "),
        (["train", "scene-digits", "at", "--n-val", "-1"], "n: at least 1 is needed, found -1"),
        (["train", "scene-digits", "at", "--patience", "-1"], "patience: "),
        (["train", "scene-digits", "at", "--patience", "2"], "patience: a val_set is needed"),
        (["evaluate", "nonesuch"], "model: at or the folder of a finished run is needed"),
        (["evaluate", "at", "--attack", "magic"], "attacks: "),
        (["evaluate", "at", "--eps", "-3"], "eps: "),
        (["evaluate", "at", "--n-test", "0"], "n: "),
    ],
)
def test_an_error_is_one_line_and_exit_code_two(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code(*arguments, monkeypatch=monkeypatch) == 2
    found = capsys.readouterr()
    assert found.out == ""
    last = [line for line in found.err.splitlines() if "evaluate:" not in line]  # not the bar
    assert len(last) == 1
    assert last[0].startswith(f"partlib: {words}")
    assert not (tmp_path / "runs").exists(), "nothing half-made is left"


def test_a_checkpoint_that_was_cut_off_is_said_in_one_line(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cut = tmp_path / "checkpoint.safetensors"
    cut.write_bytes((trained / "checkpoint.safetensors").read_bytes()[:1000])
    arguments = ["train", "scene-digits", "at", *TINY, "--out", str(tmp_path)]
    assert exit_code(*arguments, monkeypatch=monkeypatch) == 2
    said = f"partlib: checkpoint: a whole safetensors file is needed, {cut} is none ("
    assert capsys.readouterr().err.startswith(said)
    assert len(cut.read_bytes()) == 1000


def test_a_missing_set_and_a_stop_are_said_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stops: list[tuple[BaseException, int, str]] = [
        (FileNotFoundError("CIFAR-10 is missing"), 2, "partlib: CIFAR-10 is missing\n"),
        (FloatingPointError("the loss is nan"), 2, "partlib: the loss is nan\n"),
        (ImportError("an extra is missing"), 2, "partlib: an extra is missing\n"),
    ]
    for error, code, line in stops:

        def fail(error: BaseException = error, **_: object) -> None:
            raise error

        monkeypatch.setattr(cli.doctor, "report", fail)
        assert exit_code("doctor", monkeypatch=monkeypatch) == code
        assert capsys.readouterr().err == line


def test_a_defect_of_the_library_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(sys, "argv", ["partlib", "doctor"])
    monkeypatch.setattr(cli.doctor, "report", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        cli.main()


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_ctrl_c_says_so_and_whether_the_command_goes_on(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.data, "load", stop)
    words = {"train": ["scene-digits", "natural"], "evaluate": ["at"]}[command]
    assert exit_code(command, *words, monkeypatch=monkeypatch) == 130
    goes_on = "; the same command goes on from the last epoch" * (command == "train")
    assert capsys.readouterr().err == f"partlib: stopped{goes_on}\n"
