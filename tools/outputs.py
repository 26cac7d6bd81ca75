"""What a run leaves in a notebook, made fit for readers: the same for the same run, and whole."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from nbformat import NotebookNode

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
WIDGET = "application/vnd.jupyter.widget-view+json"
IMAGES = {"image/png", "image/jpeg", "image/svg+xml"}

Notebook = Any  # nbformat has no types


def with_fixed_form(notebook: Notebook) -> Notebook:
    """The notebook with ids made from the cells' text and no metadata that differs between runs."""
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        fold(cell)
    notebook.metadata = NotebookNode(
        kernelspec=NotebookNode(KERNEL), language_info=NotebookNode(name="python")
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def fold(cell: Notebook) -> None:
    """Fold the code of a cell tagged `hide-input` or `hide-cell` in Jupyter as on the page.

    The one asks a question and holds its answer, the other is a solution.
    """
    for tag, what in {
        "hide-input": "code, which holds the answer",
        "hide-cell": "solution",
    }.items():
        if tag in cell.metadata.get("tags", []):
            prompts = {"code_prompt_show": f"Show the {what}", "code_prompt_hide": "Hide it"}
            cell.metadata["mystnb"] = NotebookNode(cell.metadata.get("mystnb", {}), **prompts)
            cell.metadata["jupyter"] = NotebookNode(source_hidden=True)


def finished(source: Notebook, executed: Notebook) -> Notebook:
    """The executed notebook as its readers get it: the source's cells with the run's outputs.

    The alt text that a figure's output carries is copied to where the rendered page reads it, the
    cell's metadata. A widget's view gives way to the text/html displayed beside it: the view is of
    use only to the kernel that made it, and a live Jupyter makes its own.
    """
    metadata = {cell.id: cell.metadata for cell in source.cells}
    for cell in executed.cells:
        # The one cell that the source has not is the parameters that papermill injects.
        cell.metadata = NotebookNode(metadata.get(cell.id, {"tags": ["injected-parameters"]}))
        if cell.cell_type == "code":
            cell.outputs = joined_streams(cell.outputs)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data:
                data.pop(WIDGET, None)
            if alt := next((alt_text(output, kind) for kind in IMAGES & data.keys()), ""):
                # The dark theme changes the colours of every image that is not dark-light.
                image = NotebookNode(alt=alt, classes="dark-light")
                cell.metadata["mystnb"] = NotebookNode(cell.metadata.get("mystnb", {}), image=image)
    return with_fixed_form(executed)


def joined_streams(outputs: list[Notebook]) -> list[Notebook]:
    """The outputs with neighbouring pieces of one stream joined: where they were cut is chance."""
    joined: list[Notebook] = []
    for output in outputs:
        name = output.get("name")
        if name and joined and joined[-1].get("name") == name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def alt_text(output: Notebook, kind: str) -> str:
    """The alt text that an output carries for its image, "" where it has none."""
    text: str = output.metadata.get(kind, {}).get("alt", "")
    return text.strip()


def faults(notebook: Notebook) -> list[str]:
    """What a reader of an executed notebook would stumble over, each with its cell."""
    found = []
    for number, cell in enumerate(notebook.cells):
        for fault in cell_faults(cell):
            first_line = cell.source.partition("\n")[0]
            found.append(f"cell {number} ({first_line[:60]}): {fault}")
    return found


def cell_faults(cell: Notebook) -> Iterator[str]:
    """What a reader of one executed cell would stumble over."""
    figures = 0
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        shown = "".join(str(value) for kind, value in data.items() if kind not in IMAGES)
        if output.output_type == "error":
            yield f"ends in {output.ename}"
        if output.get("name") == "stderr":
            yield f"writes to stderr: {output.text.strip()[:200]}"
        if re.search(r" at 0x[0-9a-f]{6,}", shown + output.get("text", "")):
            yield "shows an object's address in memory"
        if WIDGET in data:
            yield "a widget with no text/html to show in its place"
        for kind in IMAGES & data.keys():
            figures += 1
            alt = alt_text(output, kind)
            if not alt or cell.metadata.get("mystnb", {}).get("image", {}).get("alt") != alt:
                yield "a figure without alt text: show it with partlib.show and alt="
    if figures > 1:
        yield f"{figures} figures, but a cell has room for the alt text of one"
