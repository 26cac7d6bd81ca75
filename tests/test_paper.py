"""The paper's tables are read whole, and a figure of the paper never stands for one of ours."""

import json
from pathlib import Path
from typing import Any

import pytest

from partlib import methods, paper, results
from partlib.recipes import recipe


def test_the_main_table_is_whole() -> None:
    table = paper.main_table()
    assert len(table) == 27
    assert {(r["architecture"], r["dataset"]) for r in table} == set(paper.SETTINGS)
    assert [r["method"] for r in table] == 3 * list(paper.METHODS)
    assert table[0]["natural"] == 82.58
    assert table[0]["aa_std"] == 0.22
    for row in table:
        assert 100 > row["natural"] > row["pgd20"] > 0
        assert row["natural"] > row["aa"]
        assert all(0 <= row[f"{metric}_std"] < 2 for metric in paper.METRICS)


def test_the_corruption_table_is_whole() -> None:
    table = paper.corruption_table()
    assert len({row["corruption"] for row in table}) == 19
    for row in table:
        assert set(row) - {"corruption"} == {
            "AT", "PART (s=10)", "TRADES", "PART-T (s=10)", "MART", "PART-M (s=10)",
        }  # fmt: skip
        assert all(20 < value < 100 for name, value in row.items() if name != "corruption")


def test_the_proof_of_concept_is_whole() -> None:
    table = {row["quadrant"]: row for row in paper.quadrant_table()}
    assert set(table) == {"ul", "br"}
    assert {(row["low"], row["rest"]) for row in table.values()} == {(6.0, 12.0)}
    assert table["ul"]["natural"] - table["br"]["natural"] == pytest.approx(1.23)  # as on the slide
    assert table["ul"]["pgd20"] - table["br"]["pgd20"] == pytest.approx(0.94)


def test_labels_are_those_that_the_command_line_gives() -> None:
    """`python -m partlib train ... part --refresh 10` is recorded as part-s10."""
    assert paper.METHODS["AT"] == methods.at().name
    assert paper.METHODS["PART (s=1)"] == recipe("scene-digits/small").method("part").name
    assert paper.METHODS["PART (s=10)"] == "part-s10"


@pytest.fixture
def own_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    whole = results.folder

    def folder(*parts: str) -> Path:
        return whole(*parts) if parts[0] == "paper" else tmp_path.joinpath(*parts)

    monkeypatch.setattr(results, "folder", folder)
    return tmp_path / "cifar10" / "resnet18"


def write(folder: Path, seed: int, **metrics: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"label": "part-s10", "seed": seed, "n_test": 2000, "metrics": metrics}
    (folder / f"part-s10-seed{seed}.json").write_text(json.dumps(record))


def test_what_was_not_run_says_so(own_results: Path) -> None:
    table = paper.main_beside("ResNet-18", "CIFAR-10")
    assert [row["method"] for row in table] == list(paper.METHODS)
    assert table[2]["natural, paper"] == "83.77 ± 0.15"
    assert {row["seeds here"] for row in table} == {"not run"}
    assert list(table[0])[2:] == [f"{word}, paper" for word in paper.METRICS.values()]


def test_measured_figures_stand_beside_the_papers(own_results: Path) -> None:
    write(own_results, 0, natural=81.0, pgd20=50.0)
    write(own_results, 1, natural=82.0, pgd20=51.0, aa=47.5)
    first, _, row, *_ = paper.main_beside("ResNet-18", "CIFAR-10")
    assert row["natural, here"] == "81.50 ± 0.71"
    assert row["PGD-20, here"] == "50.50 ± 0.71"
    assert row["AA, here"] == "47.50"
    assert row["MMA, here"] == "not run"
    assert row["AA, paper"] == "41.41 ± 0.14"
    assert row["AA, difference"] == "+6.09"
    assert row["seeds here"] == "2"
    assert "MMA, difference" not in row
    assert list(first) == list(row)  # so a table's columns have the order of the paper
    assert first["seeds here"] == "not run"
    assert {first[f"{word}, here"] for word in paper.METRICS.values()} == {""}


def test_corruptions_stand_beside_the_papers(own_results: Path) -> None:
    table = paper.corruptions_beside()
    assert len(table) == 19
    assert {row["here"] for row in table} == {"not run"}
    assert list(table[0].values())[2:4] == ["81.05", "82.46"]
    write(own_results, 0, natural=81.0, **{"corruption/gaussian_noise": 70.0})
    noise, shot, *_ = paper.corruptions_beside()
    assert "here" not in noise
    assert noise["PART (s=10)"] == "82.46 / 70.00"
    assert noise["AT"] == "81.05 / not run"
    assert shot["here"] == "not run"


def test_a_setting_that_the_paper_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="found 'ResNet-50' on 'CIFAR-10'"):
        paper.main_beside("ResNet-50", "CIFAR-10")
