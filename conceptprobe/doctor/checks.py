"""What the reference alone says about a model: which blocks ran, whether states are finite, and what they add up to.

transformers' own hidden_states know nothing of our table of families, so a row with a wrong path does not agree with them.
Nor do branches of a wrong path add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch

from conceptprobe.doctor.plain import Pass
from conceptprobe.doctor.proof import Check

EXACT = 1e-5
"""What an identity may be off by in float32, relative to the scale of the site."""


def of_passes(passes: Sequence[Pass], spec: Any, row: Any) -> Iterator[Check]:
    """Every check of this file."""
    yield blocks(passes, row, spec.info.n_layers)
    yield sites(passes, spec)
    yield finite(passes)
    yield hidden_states(passes, spec.info.n_layers)
    yield branches(passes, row, spec.info.n_layers)


def blocks(passes: Sequence[Pass], row: Any, n_layers: int) -> Check:
    """As many blocks as its files say, each run once, in order."""
    wanted = list(range(n_layers))
    wrong = next((seen.ran for seen in passes if seen.ran != wanted), None)
    where = f"{n_layers} at '{row.blocks}'"
    if wrong is None:
        return Check("blocks", True, where)
    return Check("blocks", False, f"{where}, but they ran as {wrong[:12]}")


def sites(passes: Sequence[Pass], spec: Any) -> Check:
    """Every site has a state, and the last ones are as wide as the model says."""
    seen = passes[0]
    lacking = [site for site in (*spec.sites, *spec.extra_sites) if site != "pooled" and site not in seen.states]
    if lacking:
        return Check("sites", False, f"nothing was found at {', '.join(lacking[:4])}")
    ends = ("final", f"resid_post.{spec.info.n_layers - 1}")
    if spec.info.d_model not in (seen.states[site].shape[-1] for site in ends):
        note = f"{ends[0]} is {seen.states['final'].shape[-1]} wide, and its files say {spec.info.d_model}"
        return Check("sites", False, note)
    kinds: dict[str, list[int]] = {}
    for site in (*spec.sites, *spec.extra_sites):
        state = seen.pooled if site == "pooled" else seen.states[site]
        if state is not None:
            kinds.setdefault(site.partition(".")[0], []).append(state.shape[-1])
    return Check("sites", True, "; ".join(f"{kind} {_widths(of)}" for kind, of in kinds.items()))


def _widths(found: list[int]) -> str:
    each = "/".join(str(width) for width in dict.fromkeys(found))
    return f"{len(found)} x {each}" if len(found) > 1 else each


def finite(passes: Sequence[Pass]) -> Check:
    """No state is nan or infinite."""
    for seen in passes:
        for site, state in seen.states.items():
            if not bool(torch.isfinite(state).all()):
                return Check("finite", False, f"numbers at {site} are not finite: the weights are damaged")
    return Check("finite", True)


def hidden_states(passes: Sequence[Pass], n_layers: int) -> Check:
    """transformers' own hidden_states, which know nothing of the table of families; their last may be after the norm."""
    if any(len(seen.theirs) != n_layers + 1 for seen in passes):
        return Check(
            "hidden_states", None, f"transformers returns {len(passes[0].theirs)} of them for {n_layers} blocks"
        )
    blocks = [f"resid_post.{i}" for i in range(n_layers)]
    # Most libraries' lists begin with what enters the first block; a recurrent family's with what leaves it.
    orders = [["embed", *blocks], ["embed", *blocks[:-1], "final"], [*blocks, "final"]]
    errors = {tuple(names): _largest(passes, names) for names in orders}
    names = min(errors, key=lambda order: errors[order][1])
    at, error = errors[names]
    note = f"their first is {names[0]}, their last {names[-1]}"
    if error > EXACT:
        note = f"{at} is another state than transformers'"
    return Check("hidden_states", error <= EXACT, note, error, EXACT)


def _largest(passes: Sequence[Pass], names: Sequence[str]) -> tuple[str, float]:
    """(site, error) of the site that is farthest from transformers' state at its place."""
    gaps = {name: max(_gap(seen.states[name], seen.theirs[i]) for seen in passes) for i, name in enumerate(names)}
    return max(gaps.items(), key=lambda item: item[1])


def branches(passes: Sequence[Pass], row: Any, n_layers: int) -> Check:
    """stream + attn_out + mlp_out is what leaves a block; in a post-norm family, with its norms between."""
    if not (row.attn and row.mlp):
        one = row.attn or row.mlp
        note = (
            f"its row names {one} alone: the other is the output of no module" if one else "its row names no branches"
        )
        return Check("branches", None, note)
    forms = {"pre-norm": _plain_sum, "post-norm": _sum_then_norm, "stream after its norm": _norm_then_sum}
    errors = {form: max(made(seen, i) for seen in passes for i in range(n_layers)) for form, made in forms.items()}
    form = min(errors, key=lambda name: errors[name])
    holds = errors[form] <= EXACT
    note = f"stream + attn_out + mlp_out = resid_post ({form})" if holds else _UNSUMMED
    return Check("branches", holds, note, errors[form], EXACT)


_UNSUMMED = "attn_out and mlp_out do not add up to what leaves the block: a path in its row is wrong"


def _plain_sum(seen: Pass, i: int) -> float:
    left = seen.left(i)
    parts = (seen.stream(i), seen.states[f"attn_out.{i}"], seen.states[f"mlp_out.{i}"])
    if any(part.shape != left.shape for part in parts):
        return float("inf")
    return _gap(sum(parts[1:], parts[0]), left)


def _sum_then_norm(seen: Pass, i: int) -> float:
    """One norm reads stream + attn_out, a later one its output + mlp_out and gives what leaves the block (BERT)."""
    stream, attn, mlp = seen.stream(i), seen.states[f"attn_out.{i}"], seen.states[f"mlp_out.{i}"]
    return min(
        (
            max(_sum_gap(stream, attn, read), _sum_gap(between, mlp, summed), _gap(out, seen.left(i)))
            for (read, between), (summed, out) in pairwise(seen.norms[i])
        ),
        default=float("inf"),
    )


def _norm_then_sum(seen: Pass, i: int) -> float:
    """One norm reads the stream, a later one its output + attn_out, and that output + mlp_out leaves the block (BLOOM)."""
    stream, attn, mlp = seen.stream(i), seen.states[f"attn_out.{i}"], seen.states[f"mlp_out.{i}"]
    return min(
        (
            max(_gap(read, stream), _sum_gap(first, attn, summed), _sum_gap(second, mlp, seen.left(i)))
            for (read, first), (summed, second) in pairwise(seen.norms[i])
        ),
        default=float("inf"),
    )


def _sum_gap(a: torch.Tensor, b: torch.Tensor, whole: torch.Tensor) -> float:
    return _gap(a + b, whole) if a.shape == b.shape else float("inf")


def _gap(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest difference, relative to the largest value of `theirs`; infinite for another shape or nan."""
    if ours.shape != theirs.shape:
        return float("inf")
    scale = float(theirs.abs().max())
    gap = float((ours - theirs).abs().max())
    return gap / scale if scale and gap == gap else (gap if gap == gap else float("inf"))
