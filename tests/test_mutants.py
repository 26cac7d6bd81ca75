"""The lines that make an attack right are held by tests: each is broken once, in a copy.

A mutant is the library with one line changed. The few tests that must notice run on it in a process
of its own; one that nobody notices is a hole in the tests.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GRADIENT, BUDGETS = "attacks/gradient.py", "budgets.py"
BOX = "torch.minimum(torch.maximum(x_adv, low), high)"
CHECK = "if not 0 <= low <= high <= 1:  # NaN fails here too\n            hint"
MUTANTS = [
    (GRADIENT, "detach() + step_size * gradient.sign()", "detach() - step_size * gradient.sign()"),
    (GRADIENT, "step_size * gradient.sign()", "step_size * gradient"),
    (GRADIENT, "step_size * gradient.sign()", "gradient.sign()"),
    (GRADIENT, "(x - budget).clamp(min=0)", "(x - budget)"),
    (GRADIENT, "(x + budget).clamp(max=1)", "(x + budget)"),
    (GRADIENT, "(x - budget).clamp(min=0)", "(x - budget.max()).clamp(min=0)"),
    (GRADIENT, "(x + budget).clamp(max=1)", "(x + budget.max()).clamp(max=1)"),
    (GRADIENT, BOX, "x_adv"),
    (GRADIENT, BOX, "torch.maximum(x_adv, low)"),
    (GRADIENT, BOX, "torch.minimum(x_adv, high)"),
    (GRADIENT, "x_adv = x + weight * delta", "x_adv = x + delta"),
    (GRADIENT, "offset = budget * noise", "offset = noise"),
    (GRADIENT, "torch.minimum(torch.maximum(offset, -budget), budget)", "offset"),
    (GRADIENT, "-budget), budget)).clamp(0, 1)", "-budget), budget))"),
    (GRADIENT, "return wrong - logits.gather", "return -wrong + logits.gather"),
    (BUDGETS, CHECK, CHECK.replace("0 <= low", "low")),
    (BUDGETS, CHECK, CHECK.replace("high <= 1", "high")),
    (BUDGETS, "budget[top, right] = ul, ur", "budget[top, right] = ur, ul"),
    (BUDGETS, "mask, torch.tensor(eps), torch", "~mask, torch.tensor(eps), torch"),
    (BUDGETS, "mask.to(exact) * (eps - eps_low)", "mask.to(exact) * eps"),
]
NOTICE = {
    GRADIENT: [
        *("tests/test_attack_budgets.py", "tests/test_attack_formulas.py"),
        *("-k", "follows or exactly or start or margin_is"),
    ],
    BUDGETS: ["tests/test_budgets.py"],
}
RUN = """
import json, os, sys
from pathlib import Path
# Once, for all that follows: what conftest.py takes of others.
import hypothesis, papermill, jupytext, playwright.sync_api, pytest, scipy.stats, seaborn
import sklearn.datasets, torch, torchvision, typer.testing
torch.set_num_threads(1)
sys.path.insert(0, os.getcwd())
for name, line, broken, tests in json.load(sys.stdin):
    path = Path("partlib", name)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(line, broken), encoding="utf-8")
    child = os.fork()
    if not child:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        os._exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests]))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    path.write_text(text, encoding="utf-8")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_every_mutant_is_noticed(tmp_path: Path) -> None:
    for name in ("partlib", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, line, _ in MUTANTS:
        count = (ROOT / "partlib" / name).read_text(encoding="utf-8").count(line)
        assert count == 1, f"{name} has {count} times {line!r}"
    work = [("__init__.py", "", "", tests) for tests in NOTICE.values()]  # nothing broken
    work += [(*mutant, NOTICE[mutant[0]]) for mutant in MUTANTS]
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(work),
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    sound, found = done.stdout.split()[: len(NOTICE)], done.stdout.split()[len(NOTICE) :]
    assert set(sound) == {"0"}, "the tests pass on the library as it is"
    unnoticed = [mutant for mutant, status in zip(MUTANTS, found, strict=True) if status != "1"]
    assert not unnoticed, "\n".join(map(str, unnoticed))
