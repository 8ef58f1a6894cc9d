"""`lens:NAME`: a text model read through TransformerLens' TransformerBridge, eager and one stimulus at a time.

The slow, independent way to the same numbers: what TransformerLens calls `blocks.i.hook_resid_post` must be our
`resid_post.i`. The bridge is used as it boots, on the raw weights; compatibility mode, which folds norms and centres
weights, is never enabled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from conceptprobe.errors import UsageError
from conceptprobe.models.base import POOLINGS, ModelInfo, ModelSpec, Pooling
from conceptprobe.models.checkpoint import library_version
from conceptprobe.models.families.text import family
from conceptprobe.models.hashing import combined
from conceptprobe.models.options import DEFAULT, Options, with_options
from conceptprobe.models.sites import branch_sites, hooks_of
from conceptprobe.models.text_folder import TextSpec

if TYPE_CHECKING:
    from conceptprobe.models.hooks import Rows
    from conceptprobe.stimuli.stimulus import Stimulus

PREFIX = "lens:"


@dataclass(frozen=True)
class LensSpec:
    """A text model on disk that TransformerLens is to read."""

    info: ModelInfo
    sites: tuple[str, ...]
    base: TextSpec
    """The same model as this project reads it."""
    options: Options = DEFAULT

    poolings: ClassVar[tuple[Pooling, ...]] = POOLINGS

    @property
    def extra_sites(self) -> tuple[str, ...]:
        """Accepted but not in `sites`: what attention and feed-forward layers add to the residual stream."""
        return branch_sites(self.base.branches, self.info.n_layers)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Weights lie in the first; anything else in the first that has it."""
        return self.base.folders

    def load(self) -> LensModel:
        """The bridge in memory. The heavy step: transformer_lens takes seconds to import."""
        return LensModel(self)

    def twin(self, seed: int) -> TextSpec:
        """The untrained twin of the model itself: TransformerLens is another reader, not another network."""
        return with_options(self.base, self.options).twin(seed)


def lens_spec(spec: ModelSpec) -> LensSpec:
    """The same model, read by TransformerLens. Raises UsageError for what it does not read: towers, pictures, words."""
    if not isinstance(spec, TextSpec) or spec.part or len(spec.folders) > 1:
        raise UsageError(
            f"'{PREFIX}{spec.info.name}': only a text model in a folder of its own can be read through TransformerLens",
            hint=f"name it without '{PREFIX}'",
        )
    versions = {"transformer_lens": library_version("transformer-lens")}
    info = replace(spec.info, name=PREFIX + spec.info.name, sha256=combined({"model": spec.info.sha256, **versions}))
    return LensSpec(info, tuple(site for site in spec.sites if site != "pooled"), spec)


class LensModel:
    """A model behind a TransformerBridge; made by `LensSpec.load()`."""

    def __init__(self, spec: LensSpec) -> None:
        """Raises CorruptError where the files cannot be loaded, UsageError for a family TransformerLens does not know."""
        from conceptprobe.models.loading import configuration, quiet, tokenizer_of

        self.info = spec.info
        self.sites = spec.sites
        self.poolings = spec.poolings
        self._options = spec.options
        self.cut = 0
        row = family(spec.base.info.family)
        self._post_norm = row is not None and not row.norm
        with quiet():
            config = configuration(spec.base)
            self.tokenizer = tokenizer_of(spec.base)
            self.bridge = _booted(spec, config, self.tokenizer)

    def activations(
        self, stimuli: Sequence[Stimulus], sites: Sequence[str], poolings: Sequence[Pooling]
    ) -> Iterator[tuple[list[int], Rows]]:
        """One row at a time, in order; see the contract in base.py."""
        import torch

        from conceptprobe.models.hooks import as_rows
        from conceptprobe.models.pooling import check_asked, check_filled, pooling_weights
        from conceptprobe.models.tokens import Limits, encode, pad

        check_asked(self, stimuli, poolings)
        spans = any(p in ("concept_span", "context") for p in poolings)
        limits = Limits(int(self.bridge.cfg.n_ctx), vocabulary=int(self.bridge.cfg.d_vocab))
        coded = encode(self.tokenizer, tuple(stimuli), limits, needs_offsets=spans, options=self._options)
        self.cut = sum(row.cut > 0 for row in coded)
        hooks = {site: self._hook(site) for site in sites}
        for number, (stimulus, row) in enumerate(zip(stimuli, coded, strict=True)):
            batch = pad([row], [stimulus], pad_id=0, side="right")
            weights = pooling_weights(poolings, real=batch.real, content=batch.content, in_span=batch.in_span)
            check_filled([stimulus], poolings, weights)
            with torch.inference_mode():
                ids = torch.from_numpy(batch.ids).to(self.bridge.cfg.device)
                _, cache = self.bridge.run_with_cache(ids, names_filter=list(hooks.values()))
                found = {
                    site: torch.bmm(torch.from_numpy(weights), cache[hook].to("cpu", torch.float32))
                    for site, hook in hooks.items()
                }
            yield [number], as_rows(found, self.info.name, poolings)

    def _hook(self, site: str) -> str:
        """The hook point of a site. Raises UsageError where the bridge has none."""
        kind, _, number = site.partition(".")
        names = hooks_of(site)
        if self._post_norm and kind == "final":
            # What the bridge calls ln_final belongs to the head there.
            names = hooks_of(f"resid_post.{self.info.n_layers - 1}")
        elif self._post_norm and kind == "attn_out":
            # hook_attn_out stands behind sum and norm there.
            names = (f"blocks.{number}.attn.o.hook_out",)
        there = self.bridge.hook_dict
        found = next((hook for name in names for hook in (name, f"encoder_{name}") if hook in there), None)
        if found is None:
            raise UsageError(
                f"TransformerLens has no hook point for {site} of '{self.info.name}'", hint="leave that site out"
            )
        return found


def _booted(spec: LensSpec, config: Any, tokenizer: Any) -> Any:
    import torch
    from transformer_lens.model_bridge import TransformerBridge

    from conceptprobe.models.loading import device_of

    try:
        return TransformerBridge.boot_transformers(
            str(spec.folders[0]),
            device=device_of(spec.options),
            dtype=getattr(torch, spec.options.dtype),
            tokenizer=tokenizer,
            trust_remote_code=False,
        )
    except Exception as error:  # an unknown architecture is a ValueError, a damaged file anything
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(
            f"TransformerLens cannot read '{spec.base.info.name}' ({config.model_type}): {why[:200]}",
            hint=f"it goes by `architectures` in config.json, so a model saved without its head may be unknown to it; name it"
            f" without '{PREFIX}': this project's own reader knows more families",
        ) from error
