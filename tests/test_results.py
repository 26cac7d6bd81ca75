"""Results: what a figure depends on is written beside it, and summaries are the plain ones."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from partlib import results, scale


def test_read_gives_every_run_below_a_folder_in_order(tmp_path: Path) -> None:
    for name in ("b/s1", "a/s0", "b/s0"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps({"label": name, "metrics": {}}))
        (folder / "times.json").write_text(json.dumps([name]))
        (folder / "tables.json").write_text(json.dumps({"tables": {}}))
        (folder / ".result.json.7.part").write_text("{half")
        (folder / "weights.safetensors").write_bytes(b"")
    assert [run["label"] for run in results.read(tmp_path)] == ["a/s0", "b/s0", "b/s1"]
    assert results.read(str(tmp_path / "a")) == [{"label": "a/s0", "metrics": {}}]
    with pytest.raises(FileNotFoundError, match=r"folder: no results at .*nowhere"):
        results.read(tmp_path / "nowhere")


SEEDS = {
    "at": {2: 91.0, 0: 87.5, 1: 88.0},
    "part": {0: 90.0, 2: 92.5, 1: 90.5, 7: 10.0},
}
RUNS = [
    {
        "label": label,
        "seed": seed,
        "n_test": 2000,
        "metrics": {"natural": value, "pgd20": value - 30},
    }
    for label, seeds in SEEDS.items()
    for seed, value in seeds.items()
]


def test_values_are_in_the_order_of_their_seeds() -> None:
    assert results.values(RUNS, "at", "natural") == [87.5, 88.0, 91.0]
    assert results.values(iter(RUNS), "part", "pgd20") == [60.0, 60.5, 62.5, -20.0]
    assert results.values(RUNS, "trades", "natural") == []


def test_runs_of_one_precision_have_their_methods_own_labels() -> None:
    labels = {"at": "bf16", "at-fp32": "fp32", "quad-high-ul": "fp32", "part": "bf16"}
    runs = [{"label": label, "precision": found} for label, found in labels.items()]
    assert [run["label"] for run in results.trained_in(runs, "fp32")] == ["at", "quad-high-ul"]
    assert [run["label"] for run in results.trained_in(iter(runs), "bf16")] == ["at", "part"]
    assert [run["label"] for run in runs] == [*labels], "records stay as they were read"
    with pytest.raises(ValueError, match="precision: 'fp32' or 'bf16' is needed, found 'float32'"):
        results.trained_in(runs, "float32")


@pytest.mark.parametrize(("name", "precision"), [("cpu", "fp32"), ("gpu", "bf16")])
def test_a_scale_shows_runs_of_its_precision(name: str, precision: str) -> None:
    found = scale.settings(name).measured()
    assert {run["precision"] for run in found} == {precision}
    assert {"at", "part-s10"} <= {run["label"] for run in found}


def test_a_metric_may_be_of_the_first_images_alone() -> None:
    metrics = [{"aa@64": 50.0, "pgd20": 60.0, "pgd20@64": 58.0}, {"aa@64": 51.0, "pgd20": 61.0}]
    runs = [
        {"label": "at", "seed": seed, "n_test": 2000, "metrics": found}
        for seed, found in enumerate(metrics)
    ]
    assert results.values(runs, "at", "aa") == [50.0, 51.0]
    assert results.values(runs, "at", "pgd20") == [60.0, 61.0], "on all of them comes first"
    assert results.values(runs, "at", "pgd20@64") == [58.0]
    assert results.values(runs, "at", "a") == []
    assert results.images(runs, "aa") == 64
    assert results.images(runs, "pgd20") == 2000
    assert results.images(runs, "mma") is None
    runs[1]["n_test"] = 1000
    with pytest.raises(ValueError, match=r"runs: pgd20 on one number .* found \[1000, 2000\]"):
        results.images(runs, "pgd20")


@pytest.mark.parametrize(
    ("metric", "metrics", "n_test", "found"),
    [("aa", {"aa": 51.0}, 2000, [64, 2000]), ("aa", {"aa@100": 51.0}, 2000, [64, 100]),
     ("pgd20", {"pgd20": 61.0}, 1000, [1000, 2000])],
)  # fmt: skip
def test_other_images_are_not_mixed(
    metric: str, metrics: dict[str, float], n_test: int, found: list[int]
) -> None:
    other = {"label": "at", "seed": 1, "n_test": n_test, "metrics": metrics}
    runs = [
        {"label": "at", "seed": 0, "n_test": 2000, "metrics": {"aa@64": 50.0, "pgd20": 60.0}},
        {"label": "natural", "seed": 0, "n_test": 500, "metrics": {"aa": 0.0, "pgd20": 0.0}},
        other,
    ]
    refused = rf"^runs: {metric} on one number of images .*{re.escape(str(found))}"
    for function in (results.values, results.by_seed, results.over_seeds):
        with pytest.raises(ValueError, match=refused):
            function(runs, "at", metric)
        assert function(runs, "natural", metric)
    other |= {"label": "part", "seed": 0}
    for function in (results.differences, results.paired):
        with pytest.raises(ValueError, match=refused):
            function(runs, "part", "at", metric)


def test_spread_is_the_plain_mean_and_deviation() -> None:
    numbers = [87.5, 88.0, 91.0, 90.25, 86.0]
    found = results.spread(numbers)
    assert found.n == 5
    assert found.mean == pytest.approx(np.mean(numbers))
    assert found.sd == pytest.approx(np.std(numbers, ddof=1))
    half = 2.776445 * np.std(numbers, ddof=1) / np.sqrt(5)  # Student's t, 4 degrees, from a table
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))
    assert isinstance(found, results.Spread)
    assert results.over_seeds(RUNS, "at", "natural") == results.spread([87.5, 88.0, 91.0])
    assert results.over_seeds(RUNS, "trades", "natural") is None
    with pytest.raises(ValueError, match="numbers: at least one"):
        results.spread([])


def test_one_seed_claims_no_spread() -> None:
    found = results.spread([88.0])
    assert (found.mean, found.n) == (88.0, 1)
    assert all(np.isnan([found.sd, found.low, found.high]))
    assert "one seed" in found.sentence()
    assert found.text() == "88.0"
    assert results.spread([87.0, 89.0]).text() == "88.0 ± 1.4"


def test_an_interval_has_a_sign_where_it_leaves_zero_out() -> None:
    for numbers, sign in {(2.5, 2.5, 1.5): 1, (-2.5, -2.5, -1.5): -1, (2.5, -2.5, 1.0): 0}.items():
        assert results.spread(numbers).sign == sign
    assert results.spread([1.0]).sign == 0
    assert results.spread([1.0]).interval() == "+1.00"
    assert results.spread([-0.001]).interval() == "+0.00"
    assert results.spread([-1.0, -1.0]).interval() == "-1.00 (-1.00 to -1.00)"
    for numbers in ((1.5625, 1.5625), (0.1 + 0.2, 0.3, 0.3)):
        same = results.spread(numbers)
        assert (same.sign, same.equal) == (0, True), "no width is no proof"
        assert same.sentence().endswith("the same in each: not shown to differ.")


def test_an_end_close_to_zero_is_not_printed_as_zero() -> None:
    found = results.spread([0.1, 0.2, 0.291])
    assert (f"{found.low:+.2f}", found.sign) == ("-0.04", 0)
    near = results.spread([0.1, 0.2, 0.2, 0.0005 + 0.1])
    near = results.Spread(near.mean, near.sd, near.n, 0.0004, near.high)
    assert "interval +0.0004 to +0.24, which" in near.sentence()
    assert near.interval() == "+0.15 (+0.0004 to +0.24)"
    dust = results.Spread(-0.2, 0.1, 3, -0.4, -1e-9)
    assert dust.interval() == "-0.20 (-0.40 to +0.00)"


def test_two_runs_of_one_seed_are_refused() -> None:
    with pytest.raises(ValueError, match="runs: two of 'part' have seed"):
        results.by_seed([*RUNS, *RUNS], "part", "natural")


def test_seeds_are_in_order() -> None:
    found = results.by_seed(reversed(RUNS), "part", "natural")
    assert list(found) == sorted(found)
    assert list(found.values()) == results.values(RUNS, "part", "natural") != []
    assert results.by_seed(RUNS, "trades", "natural") == {}


def test_differences_are_taken_seed_by_seed() -> None:
    assert results.differences(RUNS, "part", "at", "natural") == [2.5, 2.5, 1.5]
    assert results.differences(RUNS, "part", "trades", "natural") == []
    found = results.paired(iter(RUNS), "part", "at", "natural")
    assert found == results.spread([2.5, 2.5, 1.5])
    assert results.paired(RUNS, "part", "trades", "natural") is None


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([2.5, 2.5, 1.5], "which leaves zero out): higher."),
        ([-2.5, -2.5, -1.5], "which leaves zero out): lower."),
        ([2.5, -2.5, 1.0], "which holds zero): not shown to differ."),
    ],
)
def test_an_effect_within_its_spread_is_called_that(numbers: list[float], words: str) -> None:
    text = results.spread(numbers).sentence()
    assert words in text
    assert f"{np.mean(numbers):+.2f} ± {np.std(numbers, ddof=1):.2f} points over 3 seeds" in text


def test_measured_runs_are_found_beside_or_inside_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "__file__", str(tmp_path / "partlib" / "results.py"))
    assert results.measured("scene-digits", "small") == []
    inside = tmp_path / "partlib" / "measured" / "scene-digits" / "small"
    beside = tmp_path / "results" / "scene-digits" / "small"
    for folder in (beside, inside):
        folder.mkdir(parents=True)
        (folder / "at-seed0.json").write_text(json.dumps({"label": folder.parts[-3]}))
        assert results.measured("scene-digits", "small") == [{"label": folder.parts[-3]}]
    assert results.measured("scene-digits", "resnet18") == []


def test_a_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    (tmp_path / "at-seed0.json").write_text('{"label": "at", "me')
    with pytest.raises(ValueError, match=r"folder: .*at-seed0\.json is no JSON"):
        results.read(tmp_path)
