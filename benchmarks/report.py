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
ATTACKS = {
    "partlib, training mode": "in training mode",
    "partlib, evaluation mode": "like for like, in float32",
}
FORMS = {
    "partlib, batched, training mode": "in training mode",
    "partlib, batched": "like for like, in float32",
}
"""Our forms: in training's layout and precision, and as the peers run."""


def goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is aimed at, and whether it was reached; ratios are medians over the rounds."""
    attack, heat = found["pgd"]["forms"], found["cam"]["forms"]

    def against(forms: Mapping[str, Any], theirs: str, ours: str) -> float:
        return float(forms[theirs]["times"] / forms[ours]["times"])

    memory = found["memory"]["peak_mib"]["partlib, made when needed"]
    rows = [
        *(
            (
                f"PGD-20 {words}, faster than torchattacks",
                against(attack, "torchattacks", form),
                2.2,
            )
            for form, words in ATTACKS.items()
        ),
        *(
            (f"Grad-CAM {words}, faster than {name}", against(heat, name, form), bound)
            for form, words in FORMS.items()
            for name, bound in MAPS.items()
        ),
        *(
            (f"PART epoch of {net}, of an AT epoch", found[key]["forms"]["PART"]["times"], -1.06)
            for key, net in {"part": "the long recipe", "part_small": "`small`"}.items()
        ),
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
        f"Training mode is channels last and {record['precision']}; the peers run as they come, in "
        "float32. Like for like says what is left without that.",
        "",
        "| | found | |",
        "| --- | --- | --- |",
    ]
    for goal in record["goals"]:
        verdict = "reached" if goal["reached"] else "missed"
        lines.append(f"| {goal['goal']} | {goal['found']:.2f} | {verdict} |")
    return "\n".join(lines) + "\n"
