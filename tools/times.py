"""The book's table of what the chapters took when they were last run: measured, never typed."""

import json
import os
import re
from pathlib import Path

import torch

from partlib import environment
from tools import notebooks


def export(path: Path) -> None:
    """Write the table to where a page includes it."""
    notebooks.write(path, table())


def table() -> str:
    """Seconds of each chapter at "cpu", and where any was run there at "gpu".

    They come from the stamps that `tools.notebooks` leaves.

    Returns:
        Markdown with links as seen from `book/`. A chapter without a stamp at a scale was not run.
    """
    sources = notebooks.chapters() + notebooks.appendices()
    on_gpu = any(seconds(source, "gpu") is not None for source in sources)
    scales = ("cpu", "gpu") if on_gpu else ("cpu",)
    rows = [["chapter", *(f'seconds at `"{scale}"`' for scale in scales)]]
    rows.append(["---"] * len(rows[0]))
    total = 0.0
    for source in sources:
        took = [seconds(source, scale) for scale in scales]
        total += took[0] or 0
        link = f"[{title(source)}](../notebooks/{source.stem}.ipynb)"
        rows.append([link, *("not run" if s is None else f"{s:.0f}" for s in took)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    machine = environment.device_name(torch.device("cpu"))
    where = f"{os.cpu_count()} processors ({machine}), up to four chapters at a time"
    added = f"the seconds add up to {total / 60:.1f} minutes; chapters side by side end sooner"
    lines += ["", f'At `"cpu"` measured on {where}: {added}.', ""]
    return "\n".join(lines)


def seconds(source: Path, scale: str) -> float | None:
    """What a chapter took when it was last run at a scale, or None."""
    stamp = notebooks.stamp_of(source, scale)
    return float(json.loads(stamp.read_text())["seconds"]) if stamp.exists() else None


def title(source: Path) -> str:
    """A chapter's title."""
    match = re.search(r"^# (.+)$", source.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise notebooks.ChapterError(f"{source.name} has no title")
    return match.group(1)
