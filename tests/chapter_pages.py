"""The code of the chapters, taken from the text, and a network and images to try it on."""

import ast
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from partlib import budgets
from partlib.models import Classifier, PooledLinear
from tools import notebooks

CHAPTERS = {path.stem[:2]: path for path in notebooks.chapters()}
SOURCES = CHAPTERS | {path.stem[:2]: path for path in notebooks.appendices()}
EPS = 8 / 255


@cache
def code(number: str) -> list[str]:
    """The code cells of a chapter."""
    cells = notebooks.read_chapter(SOURCES[number]).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


@cache
def page(number: str) -> Any:
    """A chapter's imports, constants, functions and classes; nothing else of it is run."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    names: dict[str, Any] = {}
    for source in code(number):
        chosen = [
            node
            for node in ast.parse(source).body
            if isinstance(node, kinds) or (isinstance(node, ast.Assign) and is_constant(node.value))
        ]
        exec(compile(ast.Module(chosen, []), SOURCES[number].name, "exec"), names)
    return SimpleNamespace(**names)


def is_constant(expression: ast.expr) -> bool:
    return not any(isinstance(node, (ast.Name, ast.Call)) for node in ast.walk(expression))


def network(seed: int) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3, 1, 1),
            nn.ReLU(),
        )  # fmt: skip
        return Classifier(features, PooledLinear(6, 5)).double().eval()


def batch(n: int = 12) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(1)
    x = torch.rand(n, 3, 8, 8, generator=source, dtype=torch.float64)
    return x, torch.randint(0, 5, (n,), generator=source)


X, Y = batch()
MAP = budgets.quadrants((8, 8), ul=0.02, ur=0.04, bl=0.0, br=0.06).double()


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
