"""Mixed precision in training, and none of it elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch

from partlib.preserve import full_precision


def mixed_precision(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Autocast to bfloat16, or, with "fp32", a guard that switches autocast and TF32 off."""
    if uses_bf16(device, precision):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return full_precision(device)


def uses_bf16(device: torch.device, precision: str) -> bool:
    """What a `precision` means on a device; "auto" asks whether its bfloat16 is the faster one."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False
