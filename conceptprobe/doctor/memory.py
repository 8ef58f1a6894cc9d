"""Whether a copy of a model fits into the memory that is free."""

from __future__ import annotations

from pathlib import Path

import torch

_MEMINFO = Path("/proc/meminfo")


def lacking(n_params: int, bytes_each: int, device: str) -> str:
    """Why such a copy does not fit, in words; empty where it does, or where free memory is not known."""
    needed, free = n_params * bytes_each, _free(device)
    if free is None or needed <= free:
        return ""
    return f"needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"


def _free(device: str) -> int | None:
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    if not _MEMINFO.is_file():
        return None
    lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines() if ":" in line)
    return int(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else None
