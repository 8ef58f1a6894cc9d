"""Devices and attention kernels, by trying each on a small problem and comparing with float64 on the CPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from conceptprobe.doctor.examined import Check
from conceptprobe.files import size
from conceptprobe.kernels.attention import PACKAGES, verify_sdpa

if TYPE_CHECKING:
    import torch

BACKENDS = {
    "math": "MATH",
    "flash": "FLASH_ATTENTION",
    "memory-efficient": "EFFICIENT_ATTENTION",
    "cuDNN": "CUDNN_ATTENTION",
}
"""Backends of torch's scaled_dot_product_attention: the name people use, and torch's own."""
FOR_CUDA = ("memory-efficient", "cuDNN")

LIMITS = {"float32": 1e-4, "bfloat16": 3e-2, "float16": 4e-3, "float64": 1e-12}
"""Largest error that is rounding, relative to the largest number of the exact result; float32 leaves room for TF32's
half of it, which is off by default."""


def accelerators() -> tuple[str, ...]:
    """The accelerators torch can use, by their names for --device."""
    import torch

    cards = tuple(f"cuda:{i}" for i in range(torch.cuda.device_count())) if torch.cuda.is_available() else ()
    return (*cards, *(("mps",) if torch.backends.mps.is_available() else ()))


def devices() -> list[Check]:
    """The processor, and every accelerator torch sees or should see."""
    seen = accelerators()
    return [_processor(), *(_accelerator(name) for name in seen), *_unseen(seen)]


def _processor() -> Check:
    import torch

    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    said, wrong = _arithmetic("cpu")
    found = f"{cores} cores, {torch.get_num_threads()} of them for torch{_memory()}; {said}"
    return Check("devices", "cpu", "unsafe" if wrong else "ok", found, "reinstall torch" if wrong else "")


def _memory() -> str:
    try:
        page, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # a system without these names
        return ""
    return f", {size(page * pages)} of memory"


def _accelerator(name: str) -> Check:
    import torch

    said, wrong = _arithmetic(name)
    if name == "mps":
        return Check("devices", name, "unsafe" if wrong else "ok", said)
    about = torch.cuda.get_device_properties(name)
    free, total = torch.cuda.mem_get_info(name)
    found = f"{about.name}, {size(free)} of {size(total)} free, capability {about.major}.{about.minor}; {said}"
    driver = _nvidia_driver()
    found += f"; CUDA {torch.version.cuda}{f', driver {driver}' if driver else ''}"
    return Check("devices", name, "unsafe" if wrong else "ok", found, "--device cpu" if wrong else "")


def _unseen(seen: tuple[str, ...]) -> Iterator[Check]:
    """A card that the driver sees and torch does not, and why."""
    import torch

    if any(name.startswith("cuda") for name in seen):
        return
    driver = _nvidia_driver()
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    if not driver:
        yield Check(
            "devices", "cuda", "note", f"no NVIDIA driver answers; torch {torch.__version__} is built with {build}"
        )
        return
    hint = (
        "the driver may be older than this CUDA needs, or CUDA_VISIBLE_DEVICES hides the card"
        if torch.version.cuda
        else "install the CUDA build of torch: https://pytorch.org/get-started/locally"
    )
    found = f"driver {driver} answers, but torch {torch.__version__}, built with {build}, sees no card"
    yield Check("devices", "cuda", "warning", found, hint)


def _nvidia_driver() -> str:
    """Version of the NVIDIA driver; empty where none answers."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    query = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.split("\n")[0].strip() if done.returncode == 0 else ""


def _arithmetic(device: str) -> tuple[str, bool]:
    """What a product of matrices comes to in each dtype, and whether float32 is wrong."""
    import torch

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(48, 64, generator=generator, dtype=torch.float64)
    exact = x @ x.mT
    said, wrong = [], False
    for name, limit in LIMITS.items():
        try:
            made = x.to(getattr(torch, name)).to(device)
            error = float(((made @ made.mT).cpu().double() - exact).abs().max() / exact.abs().max())
        except (RuntimeError, TypeError) as failed:
            said.append(f"no {name} ({_first_line(failed)})")
            wrong = wrong or name == "float32"
            continue
        if not error <= limit:
            said.append(f"{name} is off by {error:.0e}")
            wrong = wrong or name == "float32"
        else:
            said.append(name)
    return f"multiplies in {', '.join(said)}", wrong


def attention() -> list[Check]:
    """Every kernel on the CPU and on the first accelerator, and why one cannot be used."""
    where = ("cpu", *accelerators()[:1])
    return [
        *(_fused(device) for device in where),
        *(_backend(label, device) for device in where for label in BACKENDS),
        *(_package(asked) for asked in PACKAGES),
        _flex(),
    ]


def _fused(device: str) -> Check:
    error = verify_sdpa(device=device)
    wrong = not error <= LIMITS["float32"]
    found = f"{'wrong' if wrong else 'right'}: error {error:.0e} of scale, padded and causal, against float64"
    return Check("attention", f"sdpa on {device}", "unsafe" if wrong else "ok", found, "--attn eager" if wrong else "")


def _backend(label: str, device: str) -> Check:
    """One backend, with and without a mask, in two dtypes."""
    name = f"{label} on {device}"
    if device == "cpu" and label in FOR_CUDA:
        return Check("attention", name, "note", "made for CUDA")
    works: dict[str, list[str]] = {}
    reasons: dict[str, None] = {}
    for masked in (False, True):
        for dtype in ("float32", "bfloat16"):
            error, why = _try_backend(BACKENDS[label], device, dtype, masked)
            if error is None:
                reasons[f"{dtype}{' with a mask' if masked else ''}: {why}"] = None
            else:
                works.setdefault("masked" if masked else "unmasked", []).append(f"{dtype} to {error:.0e}")
    found = "; ".join([*(f"{kind} {', '.join(said)}" for kind, said in works.items()), *reasons])
    return Check("attention", name, "ok" if works else "note", found)


def _try_backend(backend: str, device: str, dtype: str, masked: bool) -> tuple[float | None, str]:
    """(error relative to the exact result, "") or (None, why it cannot be used)."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, 16, 32, generator=generator, dtype=torch.float64) for _ in range(3))
    allowed = torch.ones(1, 1, 16, 16, dtype=torch.bool).tril() if masked else None
    exact = _plain(q, k, v, allowed)
    mask = allowed.to(device) if allowed is not None else None
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")  # torch explains in warnings why it passes a backend over
        try:
            q, k, v = (t.to(getattr(torch, dtype)).to(device) for t in (q, k, v))
            with sdpa_kernel([getattr(SDPBackend, backend)]):
                out = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        except RuntimeError as failed:
            why = [_first_line(w.message).partition(" (Triggered")[0] for w in said]
            return None, " ".join(w for w in why if w and "not used because" not in w) or _first_line(failed)
    return float((out.cpu().double() - exact).abs().max() / exact.abs().max()), ""


def _plain(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, allowed: torch.Tensor | None) -> torch.Tensor:
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if allowed is not None:
        scores = scores.masked_fill(~allowed, float("-inf"))
    return scores.softmax(-1) @ v


def _package(asked: str) -> Check:
    import torch

    module, package = PACKAGES[asked]
    here = find_spec(module) is not None
    if here and torch.cuda.is_available():
        return Check("attention", asked, "ok", f"{package} is installed")
    lacks = [
        *(() if here else (f"{package} is not installed",)),
        *(() if torch.cuda.is_available() else ("it needs CUDA",)),
    ]
    return Check("attention", asked, "note", f"not usable: {', and '.join(lacks)}")


def _flex() -> Check:
    """By what it needs: trying it would compile for half a minute."""
    import torch

    if torch.cuda.is_available():
        usable, needs = find_spec("triton") is not None, "triton"
    else:
        usable, needs = any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl")), "a C++ compiler"
    found = (
        f"{needs} is here; not tried, since it is compiled when it is used"
        if usable
        else f"not usable: it needs {needs}"
    )
    return Check("attention", "flex_attention", "ok" if usable else "note", found)


def _first_line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
