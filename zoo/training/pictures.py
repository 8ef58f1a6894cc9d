"""Emoji as tensors: who is trained on, who is held out, and the random views that training sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import affine_grid, grid_sample

from conceptprobe.errors import MissingError, UsageError
from conceptprobe.stimuli.stimulus import Stimulus
from zoo.training.emoji import Emoji

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt8

HELD_OUT = Path(__file__).parents[1] / "held_out.txt"
NEAR_DUPLICATE = 0.92
"""Two glyphs whose grey pictures correlate more than this are one picture in other colours (blue heart, red heart)."""


@dataclass(frozen=True)
class Pictures:
    """Glyphs of one side of the split, with their pixels."""

    emoji: tuple[Emoji, ...]
    pixels: UInt8[torch.Tensor, "n 4 s s"]
    """RGBA."""

    @property
    def families(self) -> list[Int[np.ndarray, " k"]]:
        """Rows of each family, in the order of its first row."""
        rows: dict[str, list[int]] = {}
        for i, one in enumerate(self.emoji):
            rows.setdefault(one.family, []).append(i)
        return [np.array(r) for r in rows.values()]

    @property
    def weights(self) -> Float[np.ndarray, " f"]:
        """How often each family is drawn, summing to 1: flags, a sixth of all families and all alike, a tenth as often."""
        rare = np.array([0.1 if self.emoji[rows[0]].category == "Flags" else 1.0 for rows in self.families])
        return rare / rare.sum()

    def first_of_families(self) -> Pictures:
        """One glyph per family: skin tones would count one picture many times."""
        rows = [int(r[0]) for r in self.families]
        return Pictures(tuple(self.emoji[i] for i in rows), self.pixels[rows])


def held_out_families(path: Path = HELD_OUT) -> frozenset[str]:
    """Families kept from training: one a line, `#` begins a comment. Raises MissingError."""
    if not path.is_file():
        raise MissingError(f"no file {path}", hint="it lists the emoji that serve as stimuli")
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return frozenset(line for line in lines if line)


def split_pictures(emoji: Sequence[Emoji], held_out: frozenset[str], size: int) -> tuple[Pictures, Pictures]:
    """(training, held out). Whole families go to one side, and near duplicates of a held-out glyph to neither.

    Raises UsageError where a held-out family has no glyph.
    """
    absent = held_out - {e.family for e in emoji}
    if absent:
        raise UsageError(f"the font has no glyph of {', '.join(sorted(absent)[:5])}", hint="is it another font?")
    pixels = torch.stack([torch.from_numpy(_pixels(e, size)) for e in emoji])
    out = np.array([e.family in held_out for e in emoji])
    grey = _standardised_grey(pixels)
    nearest = (grey @ grey[torch.from_numpy(out)].T).amax(dim=1).numpy()
    kept = ~out & (nearest < NEAR_DUPLICATE)
    tainted = {e.family for e, o, k in zip(emoji, out, kept, strict=True) if not o and not k}
    train = [i for i, e in enumerate(emoji) if not out[i] and e.family not in tainted]
    test = np.flatnonzero(out).tolist()
    return (
        Pictures(tuple(emoji[i] for i in train), pixels[train]),
        Pictures(tuple(emoji[i] for i in test), pixels[test]),
    )


def _pixels(one: Emoji, size: int) -> UInt8[np.ndarray, "4 s s"]:
    return np.asarray(one.picture().resize((size, size), Image.Resampling.LANCZOS)).transpose(2, 0, 1).copy()


def _standardised_grey(pixels: UInt8[torch.Tensor, "n 4 s s"]) -> Float[torch.Tensor, "n p"]:
    rgb = on_background(pixels, torch.ones(len(pixels), 3)).mean(dim=1)
    small = torch.nn.functional.adaptive_avg_pool2d(rgb, 24).flatten(1)
    small = small - small.mean(dim=1, keepdim=True)
    return small / small.norm(dim=1, keepdim=True).clamp_min(1e-6)


def on_background(
    pixels: UInt8[torch.Tensor, "n 4 s s"], colour: Float[torch.Tensor, "n 3"]
) -> Float[torch.Tensor, "n 3 s s"]:
    """RGB in 0 to 1, the glyph over a plain colour."""
    x = pixels.float() / 255
    return x[:, :3] * x[:, 3:] + colour[:, :, None, None] * (1 - x[:, 3:])


def on_white(one: Emoji) -> Image.Image:
    """The picture as stimuli have it: RGB on white."""
    picture = one.picture()
    canvas = Image.new("RGB", picture.size, "white")
    canvas.paste(picture, mask=picture.getchannel("A"))
    return canvas


def as_stimuli(emoji: Sequence[Emoji], folder: Path) -> list[Stimulus]:
    """Plain pictures as files in `folder`, and as what a model is shown."""
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for one in emoji:
        file = folder / f"{one.code}.png"
        on_white(one).save(file)
        digest = sha256(file.read_bytes()).hexdigest()
        out.append(Stimulus(one.code, "", "", "background", "image", digest, file=str(file)))
    return out


def augmented(
    pixels: UInt8[torch.Tensor, "n 4 s s"], size: int, rng: torch.Generator, strength: float = 1.0
) -> Float[torch.Tensor, "n 3 size size"]:
    """A random view of each: shifted, cropped, turned, mirrored, recoloured, on white or another plain background.

    Colours move a little only: that leaves are green and hearts are red is what a picture can know of its kind.
    """
    n, device = len(pixels), pixels.device

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return (torch.rand(n, *shape, generator=rng) * (high - low) + low).to(device)

    white = (uniform(0, 1, 1) < 0.5).float()
    x = on_background(pixels, white + (1 - white) * uniform(0, 1, 3))
    angle = uniform(-0.4, 0.4) * strength
    zoom = 1 + (uniform(0.5, 1.15) - 1) * strength
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    stretch = 1 + uniform(-0.15, 0.15) * strength
    shift = uniform(-0.3, 0.3, 2) * strength * (1.2 - zoom.clamp(max=1.1))[:, None] * 2
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    theta = torch.stack(
        [
            torch.stack([cos * mirror * stretch, -sin, shift[:, 0]], dim=1),
            torch.stack([sin * mirror * stretch, cos, shift[:, 1]], dim=1),
        ],
        dim=1,
    )
    grid = affine_grid(theta, [n, 3, size, size], align_corners=False)
    x = grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    grey = x.mean(dim=1, keepdim=True)
    to_grey = (uniform(0, 1, 1, 1, 1) < 0.1 * strength).float()
    saturation = (1 + uniform(-0.4, 0.3, 1, 1, 1) * strength) * (1 - to_grey)
    x = grey + (x - grey) * saturation
    x = _turn_hue(x, uniform(-0.25, 0.25) * strength)
    middle = x.mean(dim=(1, 2, 3), keepdim=True)
    x = (x - middle) * (1 + uniform(-0.3, 0.3, 1, 1, 1) * strength) + middle
    x = x * (1 + uniform(-0.3, 0.3, 1, 1, 1) * strength)
    x = x + torch.randn(x.shape, generator=rng).to(device) * 0.03 * strength
    return x.clamp(0, 1) * 2 - 1


def _turn_hue(x: Float[torch.Tensor, "n 3 s s"], angle: Float[torch.Tensor, " n"]) -> Float[torch.Tensor, "n 3 s s"]:
    """Rotate colours about the grey axis (Rodrigues' formula)."""
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    third = torch.full((3, 3), 1 / 3, device=x.device)
    axis = 3**-0.5
    cross = torch.tensor([[0, -axis, axis], [axis, 0, -axis], [-axis, axis, 0]], device=x.device)
    turn = cos * torch.eye(3, device=x.device) + sin * cross + (1 - cos) * third
    return torch.einsum("nij,njhw->nihw", turn, x)
