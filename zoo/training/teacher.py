"""What a network of photographs makes of emoji: a bank of views with the teacher's features, made once.

A thousand drawings teach no eye. A small network that is asked to see in a view what a large one sees learns edges,
textures and parts from every crop, and owes them to the teacher: its lineage says so.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate
from transformers import AutoModel

from conceptprobe.errors import MissingError
from conceptprobe.files import replacing
from zoo.training.pictures import Pictures, augmented, on_background

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt8

TEACHER_SIZE = 160
"""Pixels a side of what the teacher sees."""
VARIANTS = 3
"""Glyphs of a family that are shown at most: forty skin tones teach no more than three."""


@dataclass(frozen=True)
class Bank:
    """Views of training glyphs; view 0 is the plain picture on white."""

    rows: tuple[Int[np.ndarray, " k"], ...]
    """Glyphs of each family, as rows of the two tensors."""
    pixels: UInt8[torch.Tensor, "g v 3 s s"]
    features: Float[torch.Tensor, "g v d"]
    """The teacher's pooled output: each feature at unit variance, then principal components, unit rows."""


def teacher_bank(pictures: Pictures, folder: Path, *, size: int, views: int, d: int, work: Path, seed: int) -> Bank:
    """Views at `size` pixels with features of the model in `folder`, which wants values from -1 to 1.

    Kept in `work`. Raises MissingError where there is no model.
    """
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise MissingError(
            f"no model in {folder}", hint="--image-teacher names a transformers folder of an image model"
        )
    chosen = [rows[:VARIANTS] for rows in pictures.families]
    glyphs = np.concatenate(chosen)
    names = " ".join(pictures.emoji[i].code for i in glyphs)
    about = f"{sha256(weights.read_bytes()).hexdigest()} {size} {views} {d} {seed} {names}"
    path = work / f"views-{sha256(about.encode()).hexdigest()[:16]}.safetensors"
    if not path.is_file():
        pixels, features = _made(pictures.pixels[torch.from_numpy(glyphs)], folder, size, views, seed)
        with replacing(path) as temporary:
            save_file({"pixels": pixels, "features": _reduced(features, d)}, temporary)
    stored = load_file(path)
    ends = np.cumsum([0, *(len(rows) for rows in chosen)])
    families = tuple(np.arange(a, b) for a, b in itertools.pairwise(ends))
    return Bank(families, stored["pixels"], stored["features"])


@torch.inference_mode()
def _made(
    pixels: UInt8[torch.Tensor, "g 4 s s"], folder: Path, size: int, views: int, seed: int, batch: int = 64
) -> tuple[UInt8[torch.Tensor, "g v 3 size size"], Float[torch.Tensor, "g v d"]]:
    teacher = AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    rng = torch.Generator().manual_seed(seed)
    small, seen = [], []
    for at in range(0, len(pixels), batch):
        glyphs = pixels[at : at + batch]
        plain = on_background(glyphs, torch.ones(len(glyphs), 3)) * 2 - 1
        shown = [interpolate(plain, (TEACHER_SIZE, TEACHER_SIZE), mode="bilinear", antialias=True)]
        shown += [augmented(glyphs, TEACHER_SIZE, rng) for _ in range(views - 1)]
        seen.append(torch.stack([teacher(pixel_values=x).pooler_output for x in shown], dim=1))
        reduced = [interpolate(x, (size, size), mode="bilinear", antialias=True) for x in shown]
        small.append(torch.stack([((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8) for x in reduced], dim=1))
    return torch.cat(small), torch.cat(seen)


def _reduced(features: Float[torch.Tensor, "g v d"], d: int) -> Float[torch.Tensor, "g v k"]:
    """Standardised and projected on the first d axes of the plain views."""
    plain = features[:, 0]
    mean, spread = plain.mean(dim=0), plain.std(dim=0).clamp_min(1e-6)
    z = (features - mean) / spread
    _, _, axes = torch.linalg.svd(z[:, 0], full_matrices=False)
    projected = z @ axes[:d].T
    padded = torch.nn.functional.pad(projected, (0, d - projected.shape[-1]))  # fewer glyphs than axes: zeros
    return torch.nn.functional.normalize(padded, dim=-1).contiguous()
