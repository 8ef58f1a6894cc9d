"""How a model is loaded and how it is shown its stimuli: what a user may choose, apart from which model it is.

`Options` travel with a ModelSpec. Those that change numbers enter its sha256, so that a model in bfloat16, or behind a
chat template, is never taken for the same one in float32: cache, plan and findings see two models.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar

from conceptprobe.models.hashing import combined

Dtype = Literal["float32", "bfloat16", "float16", "float64"]
Quantization = Literal["", "8bit", "4bit"]
Truncation = Literal["", "left", "right"]
Attention = Literal["auto", "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"]
"""Kernels that are installed with torch or as a package. A name with a slash would fetch code from the hub, and run it."""


@dataclass(frozen=True)
class Options:
    """Choices of loading and reading; the defaults are exact on any machine."""

    dtype: Dtype = "float32"
    """Of weights and hidden states. What is pooled is averaged, and kept, in float32."""
    quantization: Quantization = ""
    """Weights in 8 or 4 bits, by bitsandbytes."""
    chat: bool = False
    """Every text becomes the user's turn of the tokenizer's chat template; the template's own tokens are never pooled."""
    prefix: str = ""
    """Put before every text, as encoders like E5 ask for (`query: `); its tokens are never pooled, but count in `pooled`."""
    truncate: Truncation = ""
    """Side that a text too long for the model is cut at; empty: it is refused."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, `mps`; `auto`: the accelerator torch sees, else the CPU."""
    device_map: Literal["", "auto"] = ""
    """`auto`: spread over all accelerators, for a model that one cannot hold (needs accelerate)."""
    attention: Attention = "auto"
    """`auto`: fused where the family takes it. Else a name that transformers knows, for families that take it."""
    revision: str = ""
    """Branch, tag or commit of a hub model that names none itself."""
    cache_dir: str = ""
    """Folder of hub downloads; empty: the hub's own."""

    @property
    def decides(self) -> dict[str, str]:
        """What of this changes numbers, by name; empty for the defaults. Device and kernel change rounding only."""
        return {
            field.name: str(getattr(self, field.name))
            for field in fields(self)
            if field.name in _DECIDE and getattr(self, field.name) != field.default
        }


OF_TEXT = ("chat", "prefix", "truncate")
"""What a model that reads no text takes no notice of."""
_DECIDE = ("dtype", "quantization", "chat", "prefix", "truncate")
DEFAULT = Options()

Spec = TypeVar("Spec")


def with_options(spec: Spec, options: Options) -> Spec:
    """The same model under these options, and so are its towers; a model that takes none (words) as it is.

    A model takes no notice of the options that its spec `ignores`. For a spec that has default options: hashes are mixed
    once.
    """
    made: Any = spec
    if hasattr(made, "ignores"):
        options = replace(options, **{name: getattr(DEFAULT, name) for name in made.ignores})
    changes: dict[str, Any] = {}
    if hasattr(made, "towers"):
        changes["towers"] = tuple(with_options(tower, options) for tower in made.towers)
    if hasattr(made, "options"):
        changes["options"] = options
    if not changes:
        return spec
    mixed = {"model": made.info.sha256, **options.decides}
    sha256 = combined(mixed) if options.decides else made.info.sha256
    info = replace(made.info, dtype=options.dtype, sha256=sha256)
    changed: Spec = replace(made, info=info, **changes)
    return changed
