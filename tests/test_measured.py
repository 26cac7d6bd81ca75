"""What stands in `results/` is sound: each run by itself, whatever it found."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
RECORDS = {
    str(path.relative_to(ROOT / "results")): json.loads(path.read_text())
    for path in sorted(ROOT.glob("results/*/*/*-seed*.json"))
}


def faults(name: str, record: dict[str, Any]) -> list[str]:
    """What is wrong with a result."""
    found, metrics = [], record["metrics"]
    data, network, run = Path(name).parts
    told = (record["data"], record["network"], f"{record['label']}-seed{record['seed']}.json")
    if told != (data, network, run):
        found.append(f"it is of {told}")
    made = (record, *record.get("evaluated", []), record.get("repeated", {}))
    commits = [each["commit"] for each in made if each]
    if any(commit is None or commit.endswith("+") for commit in commits):
        found.append("made from code that was not committed, or is not known")
    # The grids for a CPU take one thread, unless they are told another number.
    said = re.search(r"--threads (\d+)", record["command"])
    if network == "small" and record["threads"] != int(said[1] if said else 1):
        found.append(f"made with {record['threads']} threads, which its command does not say")
    if not {"natural", "pgd20"} <= metrics.keys():
        found.append("not measured")
    for strong, pgd in (("aa", "pgd20"), ("aa@64", "pgd20@64"), ("aa@1000", "pgd20@1000")):
        if strong in metrics and metrics[strong] > metrics[pgd] + 0.5:
            found.append(f"AutoAttack leaves {metrics[strong]}, PGD-20 {metrics[pgd]}")
    found += [f"{sign} fails" for sign, passed in record.get("diagnose", {}).items() if not passed]
    if record.get("n_val", 0) == 0 and len(record["history"]) != record["config"]["epochs"]:
        found.append("not the last epoch")
    return found


@pytest.mark.parametrize("name", RECORDS)
def test_a_result_is_sound(name: str) -> None:
    assert faults(name, RECORDS[name]) == []


@pytest.mark.parametrize("grid", sorted({str(Path(name).parent) for name in RECORDS}))
def test_a_grid_is_of_one_precision(grid: str) -> None:
    """But for runs whose configuration asks for one by name."""
    found = [r for name, r in RECORDS.items() if str(Path(name).parent) == grid]
    assert len({r["precision"] for r in found if r["config"]["precision"] == "auto"}) <= 1


def test_faults_are_seen() -> None:
    name = "scene-digits/small/at-seed0.json"
    sound = RECORDS[name]
    assert faults(name.replace("seed0", "seed1"), sound)
    assert faults(name, sound | {"commit": sound["commit"] + "+"})
    assert faults(name, sound | {"commit": None})
    assert faults(name, sound | {"repeated": {"commit": sound["commit"] + "+"}})
    assert faults(name, sound | {"evaluated": [{"commit": sound["commit"]}, {"commit": None}]})
    assert faults(name, sound | {"metrics": {"natural": 90.0}})
    assert faults(name, sound | {"threads": 4})
    assert faults(name, sound | {"command": sound["command"].partition(" --threads")[0]})
    strong = sound["metrics"] | {"aa@64": 60.0, "pgd20@64": 59.0}
    assert faults(name, sound | {"metrics": strong})
    assert faults(name, sound | {"diagnose": {"steps": False}})
    assert faults(name, sound | {"history": sound["history"][:-1]})
