"""Every public name of the library is documented, listed in the appendix, and tested."""

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from typer.main import get_command

import partlib
from partlib import cli

ROOT = Path(__file__).parents[1]
API = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
COMMANDS = ("__main__", "cli")  # their texts are their --help


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(partlib.__path__):
        if found.name not in COMMANDS:
            yield importlib.import_module(f"partlib.{found.name}")


def names(module: ModuleType) -> list[str]:
    """What a module is for: its `__all__`, or what it defines without an underscore."""
    own = [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
    ]
    return list(getattr(module, "__all__", own))


def public() -> Iterator[tuple[str, Any]]:
    """Public functions and classes, and the classes' methods that somebody documented."""
    for module in modules():
        for name in names(module):
            value = getattr(module, name)
            if inspect.isfunction(value) or inspect.isclass(value):
                yield f"{module.__name__}.{name}", value
            if inspect.isclass(value):
                for key, method in vars(value).items():
                    if inspect.isfunction(method) and _is_written(method):
                        yield f"{module.__name__}.{name}.{key}", method


def _is_written(method: Any) -> bool:
    """Whether a method stands in a file, unlike those that a dataclass makes."""
    return method.__name__ != "__init__" and "partlib" in method.__code__.co_filename


def raised(function: Any) -> set[str]:
    """The exceptions that a function's own lines raise, not those of functions inside it."""
    found = set()
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    todo: list[ast.AST] = list(ast.iter_child_nodes(tree))
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            found.add(ast.unparse(node.exc.func))
        todo += ast.iter_child_nodes(node)
    return found


def section(doc: str, title: str) -> str:
    """A section of a docstring, without its title."""
    match = re.search(rf"^{title}:\n((?:(?: +.*)?\n)*)", doc + "\n", re.MULTILINE)
    return match[1] if match else ""


def arguments(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


def test_the_walk_finds_the_library() -> None:
    found = dict(public())
    assert len(found) > 150
    for name in ("attacks.pgd", "data.ImageSet.to", "methods.part", "show.draw_attack"):
        assert f"partlib.{name}" in found
    assert raised(partlib.budgets.quadrants) == {"ValueError"}
    assert raised(partlib.budgets.from_mask) == {"ValueError"}
    assert "eps_low" in section(inspect.getdoc(partlib.methods.part) or "", "Args")


def test_all_have_docstrings() -> None:
    assert [name for name, value in public() if not value.__doc__] == []


def test_docstrings_list_the_arguments() -> None:
    """All of them, in their order, where there are three or more; never one that is not there."""
    wrong = []
    for name, value in public():
        if not inspect.isfunction(value) or name.startswith("partlib.check."):
            continue
        listed = re.findall(r"^    (\w+):", section(inspect.getdoc(value) or "", "Args"), re.M)
        if listed != arguments(value) and (listed or len(arguments(value)) > 2):
            wrong.append(f"{name}: {arguments(value)}, listed {listed}")
    assert not wrong, "\n".join(wrong)


def test_docstrings_name_what_is_raised() -> None:
    """Of `partlib.check` nothing: what its checks raise, they turn into their answer."""
    wrong = []
    for name, value in public():
        if inspect.isfunction(value) and not name.startswith("partlib.check."):
            errors = raised(value)
            doc = inspect.getdoc(value) or ""
            if name.endswith(".__post_init__"):
                doc = inspect.getdoc(dict(public())[name.removesuffix(".__post_init__")]) or ""
            wrong += [f"{name}: {e}" for e in errors if f"{e}:" not in section(doc, "Raises")]
    assert not wrong, "\n".join(wrong)


def test_all_stand_in_the_appendix() -> None:
    wanted = {module.__name__ for module in modules()}
    assert wanted - set(re.findall(r"automodule:: ([\w.]+)\n   :members:\n", API)) == set()


def test_all_commands_stand_in_the_appendix() -> None:
    commands = set(get_command(cli.app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"^\| `(\w+)` \|", API, re.MULTILINE)) == commands


def test_all_are_named_in_some_test() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").glob("*.py"))
    words = set(re.findall(r"\w+", tests))
    missing = [
        name
        for name, value in public()
        if name.rsplit(".")[-1] not in words and not name.endswith("__")
    ]
    assert not missing, "\n".join(missing)
