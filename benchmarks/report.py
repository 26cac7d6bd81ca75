"""What the measurements say: the goals, and the record as tables to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAPS = {
    "pytorch-grad-cam, one by one": 5.0,
    "torch-cam, one by one": 5.0,
    "torch-cam, batched": 1.3,
}
"""How many times faster class activation maps are to be."""


def goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is aimed at, and whether it was reached; ratios are medians over the rounds."""
    attack, heat = found["pgd"]["forms"], found["cam"]["forms"]
    ours = heat["partlib, batched, training mode"]["times"]
    mapped = {name: row["times"] / ours for name, row in heat.items()}
    memory = found["memory"]["peak_mib"]["partlib, made when needed"]
    rows = [
        ("PGD-20 in training mode, faster than torchattacks", attack["torchattacks"]["times"], 2.2),
        *(
            (f"Grad-CAM in training mode, faster than {name}", mapped[name], bound)
            for name, bound in MAPS.items()
        ),
        ("PART epoch, of an AT epoch", found["part"]["forms"]["PART"]["times"], -1.06),
        ("mask memory, largest set against smallest", memory[-1] / memory[0], -1.0),
    ]
    return [
        {
            "goal": f"{what}: at {'least' if bound > 0 else 'most'} {abs(bound):g} x",
            "found": round(value, 3),
            "reached": value >= bound if bound > 0 else round(value, 3) <= -bound,
        }
        for what, value, bound in rows
    ]


def markdown(record: Mapping[str, Any]) -> str:
    """The record as tables to read."""
    lines = [
        "# Beside its peers",
        "",
        f"{record['device']}, {record['threads']} threads, {record['precision']} in training, "
        f"medians of {record['rounds']} interleaved rounds, {record['seconds']:.0f} s in all.",
        "",
        f"    {record['command']}",
    ]
    for table in record["tables"].values():
        lines += ["", f"## {table['task']}: {table['of']}", ""]
        if "forms" in table:
            lines += ["| | median | range | times the first | |", "| --- | --- | --- | --- | --- |"]
            lines += [
                f"| {name} | {v['median_s']:.4g} s | {v['low_s']:.4g} to {v['high_s']:.4g} s | "
                f"{v['times']:.2f} | {table['notes'].get(name, '')} |"
                for name, v in table["forms"].items()
            ]
        else:
            counts = table["images"]
            lines += ["| " + "".join(f"| {n:,} images " for n in counts) + "|"]
            lines += ["| --- " * (1 + len(counts)) + "|"]
            lines += [
                f"| {name} | " + " | ".join(f"{v:.2f} MiB" for v in row) + " |"
                for name, row in table["peak_mib"].items()
            ]
    share = record["share_of_peak"]
    lines += [
        "",
        f"An AT epoch: {share['gflop_an_image']:.1f} GFLOP and 1/{share['images_a_second']:.3g} s "
        f"an image, {share['tflops']:.3g} TFLOP/s, {100 * share['share']:.1f} % of the "
        f"{share['peak_tflops']:.3g} TFLOP/s that a product of bfloat16 matrices reaches here.",
        "",
        "## Goals",
        "",
        "| | found | |",
        "| --- | --- | --- |",
    ]
    for goal in record["goals"]:
        verdict = "reached" if goal["reached"] else "missed"
        lines.append(f"| {goal['goal']} | {goal['found']:.2f} | {verdict} |")
    return "\n".join(lines) + "\n"
