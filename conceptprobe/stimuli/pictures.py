"""A picture file -> pixels that every model is shown alike, or one line that says why it cannot be shown.

Files come from strangers: size is asked before anything is read, and dimensions before anything is decoded.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from conceptprobe.errors import PictureError
from conceptprobe.stimuli.media_bytes import media_bytes
from conceptprobe.stimuli.problems import printable

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""The only decoders that ever see a file."""
MAX_BYTES = 64_000_000
MAX_PIXELS = 64_000_000
MAX_SIDE = 16_384
MIN_SIDE = 4

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""EXIF's orientation -> what turns the picture upright."""


def read_picture(path: Path, sha256: str | None = None) -> Image:
    """RGB, upright, on white: the first frame of a PNG, JPEG, WEBP, GIF, BMP or TIFF file.

    Raises PictureError where the file is missing, empty, not a picture, truncated, too large or too small, or does not
    have the sha256 that is given.
    """
    name = f"'{printable(str(path))}'"
    return _decoded(media_bytes(path, name, sha256, MAX_BYTES, PictureError), name)


def _decoded(content: bytes, name: str) -> Image:
    import PIL.Image

    try:
        with PIL.Image.open(BytesIO(content), formats=FORMATS) as image:
            _refuse_size(image.size, name)  # known from the header; nothing is decoded yet
            image.load()
            return _upright(_on_white(image), _orientation(image))
    except PictureError:
        raise
    except PIL.UnidentifiedImageError as error:
        kinds = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise PictureError(name, f"is not a picture that can be read ({kinds})") from error
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise PictureError(name, f"is too large: it has over {MAX_PIXELS / 1e6:.0f} megapixels") from error
    except Exception as error:  # decoders raise whatever they like (OSError, SyntaxError, struct.error, KeyError, ...)
        raise PictureError(name, f"is truncated or damaged: {_one_line(error)}") from error


def _refuse_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if max(size) > MAX_SIDE or width * height > MAX_PIXELS:
        most = f"at most {MAX_PIXELS / 1e6:.0f} megapixels and {MAX_SIDE:,} a side are read"
        raise PictureError(name, f"is too large: {width:,} x {height:,} pixels; {most}")
    if min(size) < MIN_SIDE:
        raise PictureError(name, f"is too small: {width} x {height} pixels; at least {MIN_SIDE} x {MIN_SIDE}")


def _on_white(image: Image) -> Image:
    """RGB with 8 bits, whatever the mode; what is transparent becomes white."""
    import PIL.Image

    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _eight_bits(image: Image) -> Image:
    """Grey of 16 bits -> grey of 8 bits, rounded; Pillow's own conversion would clip at 255."""
    import numpy as np
    import PIL.Image

    if not image.mode.startswith("I;16") and image.format != "PNG":
        raise ValueError("samples of 32 bits have no agreed white; save it with 8 or 16 bits")
    values = np.asarray(image, dtype=np.int64)
    grey = PIL.Image.fromarray(((values * 255 + 32_767) // 65_535).clip(0, 255).astype(np.uint8))
    if isinstance(clear := image.info.get("transparency"), int):
        grey.putalpha(PIL.Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def _orientation(image: Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata: the pixels are there, and stay as they are stored
        return 1


def _upright(image: Image, orientation: int) -> Image:
    import PIL.Image

    turn = _UPRIGHT.get(orientation)
    return image.transpose(PIL.Image.Transpose[turn]) if turn else image


def _one_line(error: Exception) -> str:
    return printable(" ".join(str(error).split()))[:120] or type(error).__name__
