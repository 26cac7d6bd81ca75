"""The benchmarks measure what they say; the figures themselves are for a quiet machine."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import measure, report

CPU = torch.device("cpu")


def test_forms_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []
    forms = {name: (lambda name=name: calls.append(name)) for name in "abc"}  # type: ignore[misc]
    seconds = measure.side_by_side(forms, 2, CPU)
    assert "".join(calls) == "abc" + "bca" + "cab"
    assert {name: len(found) for name, found in seconds.items()} == {"a": 2, "b": 2, "c": 2}


def test_a_ratio_is_taken_round_by_round() -> None:
    seconds = measure.side_by_side(
        {"fast": lambda: time.sleep(0.001), "slow": lambda: time.sleep(0.02)}, 3, CPU
    )
    assert measure.row(seconds["slow"], seconds["fast"])["times"] > 3
    found = measure.row([2.0, 30.0, 4.0], [1.0, 10.0, 4.0])
    assert found == {"median_s": 4.0, "low_s": 2.0, "high_s": 30.0, "times": 2.0}


def test_the_peak_is_of_what_is_alive() -> None:
    there = torch.zeros(1000)
    with measure.Peak() as peak:
        view = there[:10]
        made = view * 2
        assert peak.now == 40, "a view of what was there is nothing"
        large = torch.zeros(1000)
        shared = large.view(10, 100)
        del large
        assert peak.now == 4040
        del shared
        assert peak.now == 40
        made.add_(1)
    assert (peak.now, peak.most) == (40, 4040)


def test_operations_are_counted_forward_and_backward() -> None:
    weight = torch.ones(5, 7, requires_grad=True)
    with measure.Operations() as counter:
        product = torch.ones(3, 5) @ weight
        torch.autograd.grad(product.sum(), weight)
    assert counter.total == 2 * (2 * 3 * 5 * 7)


def record(times: dict[str, float]) -> dict[str, Any]:
    forms: dict[str, dict[str, Any]] = {
        "pgd": {
            "partlib, training mode": 1.0,
            "partlib, evaluation mode": times["evaluation"],
            "torchattacks": times["torchattacks"],
        },
        "cam": {
            "partlib, batched": times["float32"],
            "partlib, batched, training mode": 0.5,
            "torch-cam, batched": times["batched"],
            "torch-cam, one by one": times["singly"],
            "pytorch-grad-cam, one by one": 9.0,
        },
        "part": {"adversarial training": 1.0, "PART": times["part"]},
        "part_small": {"adversarial training": 1.0, "PART": times["small"]},
    }
    tables = {
        key: {"task": key, "of": "", "notes": {}, "forms": {
            name: {"median_s": v, "low_s": v, "high_s": v, "times": v} for name, v in rows.items()
        }}
        for key, rows in forms.items()
    }  # fmt: skip
    memory = {"partlib, made when needed": [3.0, 3.0], "stored": [3.0, 6.0]}
    tables["memory"] = {"task": "mask memory", "of": "", "images": [10, 20], "peak_mib": memory}
    share = dict.fromkeys(
        ("gflop_an_image", "images_a_second", "tflops", "peak_tflops", "share"), 0.5
    )
    about = {"device": "a chip", "threads": 1, "precision": "fp32", "rounds": 5, "seconds": 1.0}
    return {
        **about, "command": "python", "tables": tables, "share_of_peak": share,
        "goals": report.goals(tables),
    }  # fmt: skip


def test_goals_are_called_missed_where_they_are() -> None:
    good = {
        "torchattacks": 2.2, "evaluation": 0.5, "batched": 0.65, "singly": 2.5, "part": 1.06,
        "small": 1.0, "float32": 0.2,
    }  # fmt: skip
    assert [goal["reached"] for goal in record(good)["goals"]] == [True] * 11
    changes = {
        "torchattacks": -0.1, "evaluation": 0.6, "batched": -0.1, "singly": -0.1, "part": 0.1,
        "small": 0.1,
    }  # fmt: skip
    for key, change in changes.items():
        goals = record({**good, key: good[key] + change})["goals"]
        assert [goal["reached"] for goal in goals].count(False) == 1, key
    alike = [goal for goal in record({**good, "float32": 0.5})["goals"] if not goal["reached"]]
    assert alike == []
    missed = [goal for goal in record({**good, "float32": 1.0})["goals"] if not goal["reached"]]
    assert [goal["goal"].partition(": ")[0] for goal in missed] == [
        "Grad-CAM like for like, in float32, faster than torch-cam, one by one",
        "Grad-CAM like for like, in float32, faster than torch-cam, batched",
    ]
    text = report.markdown(record(good))
    assert (
        "| PART epoch of the long recipe, of an AT epoch: at most 1.06 x | 1.06 | reached |" in text
    )
    assert "| torchattacks | 2.2 s | 2.2 to 2.2 s | 2.20 |  |" in text
    assert "|  | 10 images | 20 images |" in text.replace("| |", "|  |")


def test_the_committed_report_is_that_of_its_figures() -> None:
    folder = Path(__file__).parents[1] / "results" / "benchmarks"
    stored = json.loads((folder / "peers-cpu.json").read_text())
    assert stored["goals"] == report.goals(stored["tables"])
    assert (folder / "peers-cpu.md").read_text() == report.markdown(stored)
    missed = [goal["goal"] for goal in stored["goals"] if not goal["reached"]]
    assert all("like for like" in goal or "`small`" in goal for goal in missed)


@pytest.mark.slow
def test_all_is_measured_at_tiny_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchattacks", reason="see the extra bench in pyproject.toml")
    pytest.importorskip("torchcam", reason="it needs Python 3.11")
    from benchmarks import peers

    arguments = ["peers", "--quick", "--rounds", "1", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    peers.main()
    (table,) = tmp_path.glob("peers-*.md")
    text = table.read_text()
    for name in ("torchattacks", "foolbox", "torch-cam, batched", "a plain loop", "PART"):
        assert f"| {name} |" in text
    memory = next(line for line in text.splitlines() if line.startswith("| partlib, made when"))
    assert len(set(memory.split("|")[2:-1])) == 1, "the masks' memory does not grow with the set"
