"""Runs: what cannot end well is refused before it trains, and a damaged record is named."""

from pathlib import Path

import pytest

from partlib import training
from partlib.recipes import recipe
from partlib.runs import run, train_or_load

SMALL = recipe("scene-digits/small").with_config(epochs=1, batch_size=16, precision="fp32")


@pytest.mark.parametrize("name", ["pdg20", "pgd2@21"])
def test_an_attack_that_cannot_be_is_refused_before_training(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "fit", lambda *_, **__: pytest.fail("it has begun"))
    with pytest.raises(ValueError, match=rf"^attacks: .*found '{name}'"):
        run(
            SMALL, SMALL.method("natural"), folder=tmp_path, n_train=40, n_test=20,
            attacks=["natural", name],
        )  # fmt: skip


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"label": "natural"}'])
def test_a_damaged_record_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(ValueError, match=r"^folder: .*result\.json is no record of a run"):
        train_or_load(SMALL, SMALL.method("natural"), folder=tmp_path)
