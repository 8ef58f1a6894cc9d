"""Which attention kernel a model gets, what was chosen in this process, and a check of the fused one.

The choice never changes a number beyond rounding: `verify_sdpa` compares torch's fused attention with a softmax
written out in float64.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Protocol

from conceptprobe.errors import MissingError

PACKAGES = {
    "flash_attention_2": ("flash_attn", "flash-attn"),
    "flash_attention_3": ("flash_attn_interface", "flash-attn-3"),
}
"""Kernels that are packages of their own: (module, name of the package)."""


class TakesAttention(Protocol):
    """What is asked of a row of the table of families."""

    @property
    def model_type(self) -> str:
        """Name of the family."""
        ...

    @property
    def sdpa(self) -> bool:
        """Takes torch's scaled_dot_product_attention."""
        ...


@dataclass(frozen=True)
class KernelChoice:
    """`name` is transformers' attn_implementation: `sdpa` or `eager`; `reason` is a clause for the manifest."""

    name: str
    reason: str


_chosen: dict[str, dict[str, str]] = {}


def check_kernel(asked: str) -> None:
    """MissingError where the kernel is a package that is not installed: transformers may fetch code in its place."""
    module, package = PACKAGES.get(asked, ("", ""))
    if module and find_spec(module) is None:
        raise MissingError(
            f"the package {package} is not installed, and --attn {asked} needs it",
            hint="`conceptprobe doctor` says which kernels can be used here; --attn auto takes the best that is",
        )


def attention_for(row: TakesAttention, device: str, asked: str = "auto") -> KernelChoice:
    """Fused attention where the family takes it, else eager, unless a kernel is `asked` for by its name.

    The choice is remembered for the manifest. Raises what `check_kernel` raises.
    """
    check_kernel(asked)
    if asked != "auto":
        choice = KernelChoice(asked, "asked for by --attn")
    elif row.sdpa:
        choice = KernelChoice("sdpa", f"torch's fused attention on {device}; checked against float64 by the tests")
    else:
        choice = KernelChoice(
            "eager", f"the family '{row.model_type}' takes no fused attention, or is not in the table"
        )
    _chosen[row.model_type] = {**asdict(choice), "device": device}
    return choice


def chosen() -> dict[str, dict[str, str]]:
    """{family: {name, reason, device}} of the models loaded by this process; empty when all came from the cache."""
    return {family: dict(choice) for family, choice in sorted(_chosen.items())}


def verify_sdpa(*, device: str = "cpu", seed: int = 0, trials: int = 8) -> float:
    """Largest error of torch's SDPA against a float64 softmax, relative to the largest entry of that softmax's output.

    Random shapes, with padding on the left or right, causal and not; only queries that are not padding are compared.
    Around 1e-7 in float32.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    worst = 0.0
    for trial in range(trials):
        b, h, t, d = (int(torch.randint(1, high, (), generator=generator)) for high in (5, 5, 33, 17))
        q, k, v = (torch.randn(b, h, t, d, generator=generator) for _ in range(3))
        lengths = torch.randint(1, t + 1, (b, 1), generator=generator)
        places = torch.arange(t)
        real = places < lengths if trial % 2 else places >= t - lengths
        allowed = real[:, None, None, :].expand(b, 1, t, t)
        if trial % 4 < 2:
            allowed = allowed & (places[:, None] >= places)
        fused = torch.nn.functional.scaled_dot_product_attention(
            q.to(device), k.to(device), v.to(device), attn_mask=allowed.to(device)
        ).to("cpu", torch.float64)
        scores = (q.double() @ k.double().mT / d**0.5).masked_fill(~allowed, float("-inf"))
        exact = scores.softmax(-1).nan_to_num() @ v.double()  # a query that may see nothing is padding: not compared
        asked = real[:, None, :, None].expand_as(exact)
        worst = max(worst, float(((fused - exact).abs() * asked).max() / (exact.abs() * asked).max()))
    return worst
