"""Picture files, good and malformed: every kind a stranger may send is built here, none is stored."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from conceptprobe.errors import PictureError
from conceptprobe.stimuli import pictures
from conceptprobe.stimuli.pictures import read_picture

SIZE = (8, 6)
Write = Callable[[bytes, str], Path]


@pytest.fixture
def put(tmp_path: Path) -> Write:
    def write(content: bytes, name: str = "x.png") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, *, depth: int = 8, colour: int = 0, data: bytes = b"", extra: bytes = b"") -> bytes:
    """A PNG chunk by chunk, so that its header may say anything."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + extra
        + _chunk(b"IDAT", zlib.compress(data))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def halves(mode: str = "RGB") -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", SIZE, (200, 0, 0))
    image.paste((0, 0, 200), (SIZE[0] // 2, 0, SIZE[0], SIZE[1]))
    return image.convert(mode)


@pytest.mark.parametrize("kind", pictures.FORMATS)
def test_all_six_formats_are_read(put: Write, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    image = read_picture(put(encoded(halves(), kind, **options), "x"))
    assert (image.mode, image.size) == ("RGB", SIZE)
    assert np.abs(np.asarray(image, float) - np.asarray(halves(), float)).mean() < 20


def test_other_formats_that_pillow_knows_are_refused(put: Write) -> None:
    with pytest.raises(PictureError, match="is not a picture that can be read"):
        read_picture(put(encoded(halves(), "PPM"), "x.ppm"))


def test_colours_of_print_become_colours_of_screens(put: Write) -> None:
    image = read_picture(put(encoded(Image.new("CMYK", SIZE, (0, 255, 255, 0)), "JPEG", quality=95)))
    r, g, b = image.getpixel((3, 3))
    assert image.mode == "RGB"
    assert r > 200
    assert max(g, b) < 60


def test_sixteen_bits_are_scaled_and_not_clipped(put: Write) -> None:
    values = np.array([[0, 128, 257, 32_896, 65_535, 65_535, 1000, 40_000]] * 6, dtype=np.uint16)
    image = read_picture(put(encoded(Image.fromarray(values))))
    assert list(np.asarray(image)[0, :, 0]) == [0, 0, 1, 128, 255, 255, 4, 156]


def test_sixteen_bits_may_have_a_transparent_grey(put: Write) -> None:
    rows = b"".join(b"\0" + struct.pack(">8H", *([7] * 4 + [0] * 4)) for _ in range(6))
    image = read_picture(put(png(8, 6, depth=16, data=rows, extra=_chunk(b"tRNS", struct.pack(">H", 7)))))
    assert [image.getpixel((0, 0)), image.getpixel((7, 0))] == [(255, 255, 255), (0, 0, 0)]


def test_samples_without_an_agreed_white_are_refused(put: Write) -> None:
    with pytest.raises(PictureError, match="32 bits have no agreed white"):
        read_picture(put(encoded(Image.new("F", SIZE, 0.5), "TIFF"), "x.tif"))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white(put: Write, mode: str) -> None:
    image = Image.new("RGBA", SIZE, (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 4, 6))
    image.paste((0, 0, 0, 128), (4, 0, 5, 6))
    read = read_picture(put(encoded(image.convert(mode))))
    assert [read.getpixel((x, 0))[0] for x in (0, 4, 7)] == [0, 127, 255]


def test_a_transparent_colour_of_a_palette_is_white(put: Write) -> None:
    image = halves().quantize(2)
    clear = image.getpixel((0, 0))
    read = read_picture(put(encoded(image, transparency=clear)))
    assert read.getpixel((0, 0)) == (255, 255, 255)
    assert read.getpixel((7, 0)) == (0, 0, 200)


def test_an_animation_shows_its_first_frame(put: Write) -> None:
    frames = [Image.new("RGB", SIZE, c) for c in ("red", "blue", "white")]
    read = read_picture(put(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "x.gif"))
    assert read.getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_turned_photograph_stands_upright(put: Write, orientation: int, kind: str) -> None:
    upright = Image.new("RGB", (32, 16), "white")
    upright.paste((255, 0, 0), (0, 0, 16, 8))
    # what undoes each turn: its own inverse, except for the two quarter turns
    undo = {**pictures._UPRIGHT, 6: "ROTATE_90", 8: "ROTATE_270"}.get(orientation)
    stored = upright.transpose(Image.Transpose[undo]) if undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = read_picture(put(encoded(stored, kind, exif=exif)))
    assert read.size == upright.size
    assert np.abs(np.asarray(read, float) - np.asarray(upright, float)).mean() < 12


def test_the_hash_is_checked_before_anything_is_decoded(put: Write) -> None:
    path = put(encoded(halves()))
    assert read_picture(path, hashlib.sha256(path.read_bytes()).hexdigest()).size == SIZE
    path.write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"has sha256 [0-9a-f]{64}, not 0000"):
        read_picture(path, "0" * 64)


MALFORMED = {
    "zero byte": (b"", "is empty"),
    "text": (b"I am not a picture.\n", "is not a picture"),
    "html": (b"<!doctype html><title>404</title>", "is not a picture"),
    "one pixel": (encoded(Image.new("RGB", (1, 1))), "is too small: 1 x 1"),
    "one row": (encoded(Image.new("RGB", (300, 3))), "is too small: 300 x 3"),
    "huge header": (png(20_000, 20_000), "is too large"),
    "long side": (png(16_385, 4), "is too large: 16,385 x 4"),
    "many pixels": (png(9_000, 9_000), "is too large: 9,000 x 9,000"),
    "no data": (png(8, 6), "is truncated or damaged"),
    "half a png": (encoded(Image.effect_noise((64, 64), 90))[:1500], "is truncated or damaged"),
    "half a jpeg": (encoded(Image.effect_noise((64, 64), 90), "JPEG")[:1000], "is truncated or damaged"),
    "half a gif": (encoded(Image.effect_noise((64, 64), 90), "GIF")[:900], "is truncated or damaged"),
    "half a webp": (encoded(Image.effect_noise((64, 64), 90).convert("RGB"), "WEBP")[:400], "is (truncated|not a pic)"),
    "only a signature": (b"\x89PNG\r\n\x1a\n", "is (truncated|not a picture)"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_cannot_be_shown_is_refused_in_one_line(put: Write, case: str) -> None:
    content, says = MALFORMED[case]
    with pytest.raises(PictureError, match=says) as caught:
        read_picture(put(content))
    assert "\n" not in caught.value.message
    assert caught.value.message.startswith("picture '")
    assert caught.value.message.endswith(caught.value.reason)


def test_dimensions_are_known_before_pixels(put: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import ImageFile

    def never(self: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    for size in ((20_000, 20_000), (12_000, 11_000), (8_001, 8_000), (16_385, 4)):
        with pytest.raises(PictureError, match="too large"):
            read_picture(put(png(*size)))


def test_a_large_file_is_refused_unread(put: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_BYTES", 100)
    with pytest.raises(PictureError, match="MB are read"):
        read_picture(put(b"x" * 101))


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"nowhere\.png' does not exist"):
        read_picture(tmp_path / "nowhere.png")
    with pytest.raises(PictureError, match="is not a file"):
        read_picture(tmp_path)
    with pytest.raises(PictureError, match="picture '"):
        read_picture(tmp_path / "a\0b")


@pytest.mark.filterwarnings("ignore")  # of Pillow, about damaged metadata
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(pictures.FORMATS),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=6),
)
def test_whatever_the_bytes_it_is_a_picture_or_a_picture_error(
    put: Write, kind: str, cut: float, flips: list[tuple[float, int]]
) -> None:
    content = bytearray(encoded(halves(), kind))
    for at, change in flips:
        content[int(at * len(content))] ^= change
    path = put(bytes(content[: max(1, int(cut * len(content)))]))
    try:
        image = read_picture(path)
    except PictureError:
        return
    assert image.mode == "RGB"
    assert min(image.size) >= pictures.MIN_SIDE
