"""Arrays of users: every format gives the same rows, and nothing damaged, pickled or infinite gets through."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from conceptprobe.errors import ConceptprobeError, MissingError, UsageError
from conceptprobe.pipeline.arrays import read_arrays


@pytest.fixture
def x(rng) -> np.ndarray:
    return rng.standard_normal((12, 3, 5)).astype(np.float32)


def test_every_format_gives_the_same_sites(tmp_path, x):
    np.save(tmp_path / "acts.npy", x)
    np.savez(tmp_path / "acts.npz", **{f"acts.{i}": x[:, i] for i in range(3)})
    save_file({f"acts.{i}": np.ascontiguousarray(x[:, i]) for i in range(3)}, tmp_path / "acts.safetensors")
    for ending in ("npy", "npz", "safetensors"):
        sites = read_arrays(tmp_path / f"acts.{ending}")
        assert list(sites) == ["acts.0", "acts.1", "acts.2"]
        for i, rows in enumerate(sites.values()):
            np.testing.assert_array_equal(rows, x[:, i])


def test_a_float_array_stays_on_disk(tmp_path, x):
    np.save(tmp_path / "a.npy", x[:, 0])
    (rows,) = read_arrays(tmp_path / "a.npy").values()
    assert isinstance(rows, np.memmap)


@pytest.mark.parametrize(
    ("kind", "becomes"),
    [("float16", "float32"), (">f4", "float32"), ("float64", "float64"), ("int8", "float64"), ("bool", "float64")],
)
def test_numbers_of_any_kind_become_floats_that_hold_them(tmp_path, x, kind, becomes):
    given = (10 * x[:, 0]).astype(kind)
    np.save(tmp_path / "a.npy", given)
    (rows,) = read_arrays(tmp_path / "a.npy").values()
    assert rows.dtype == becomes
    np.testing.assert_array_equal(rows, given.astype(becomes))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_of_safetensors_is_read(tmp_path, x, kind):
    half = torch.from_numpy(x).to(kind)
    save_torch({"b": half[:, 0].contiguous(), "a": torch.from_numpy(x[:, 1].copy())}, tmp_path / "h.safetensors")
    sites = read_arrays(tmp_path / "h.safetensors")
    assert sites["b"].dtype == np.float32
    np.testing.assert_array_equal(sites["b"], half[:, 0].float().numpy())
    np.testing.assert_array_equal(sites["a"], x[:, 1])


def test_sites_are_picked_by_name_and_met_with_the_nearest(tmp_path, x):
    np.savez(tmp_path / "s.npz", early=x[:, 0], late=x[:, 1])
    assert list(read_arrays(tmp_path / "s.npz", ("late",))) == ["late"]
    with pytest.raises(UsageError, match="Did you mean 'late'"):
        read_arrays(tmp_path / "s.npz", ("lat",))


def test_a_pickle_is_never_opened_whatever_its_name(tmp_path):
    for name in ("a.npy", "a.npz", "a.safetensors", "a.pt", "a.pkl"):
        (tmp_path / name).write_bytes(b"\x80\x04cposix\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
        with pytest.raises(UsageError, match="pickle"):
            read_arrays(tmp_path / name)
    np.save(tmp_path / "o.npy", np.array([{"a": 1}, None]), allow_pickle=True)
    np.savez(tmp_path / "o.npz", a=np.zeros((3, 2)), b=np.array([{}], dtype=object))
    for name in ("o.npy", "o.npz"):
        with pytest.raises(UsageError, match="pickled objects"):
            read_arrays(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_site_with_nan_or_inf_names_its_rows(tmp_path, x):
    x[3, 1, 2], x[7, 1, 0] = np.nan, -np.inf
    np.save(tmp_path / "a.npy", x)
    with pytest.raises(UsageError, match=r"site 'a.1' has NaN or Inf in 2 of 12 rows: 3, 7"):
        read_arrays(tmp_path / "a.npy")
    assert list(read_arrays(tmp_path / "a.npy", ("a.0",))) == ["a.0"]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((10, 2), 1e20, dtype=np.float32), "overflow float32"),
        (np.full((10, 2), 1e200), "overflow float64"),
        (np.zeros(10), "10; \\[n d\\]"),
        (np.zeros((2, 2, 2, 2)), "2 x 2 x 2 x 2"),
        (np.zeros((10, 0)), "empty: its shape is 10 x 0"),
        (np.zeros((0, 4)), "empty: its shape is 0 x 4"),
        (np.zeros((10, 2), dtype=complex), "complex128, not real"),
        (np.full((10, 2), "a"), "not real numbers"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(tmp_path, array, words):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UsageError, match=words):
        read_arrays(tmp_path / "a.npy")


def test_sites_of_different_lengths_are_refused(tmp_path, x):
    np.savez(tmp_path / "a.npz", a=x[:, 0], b=x[:9, 1])
    with pytest.raises(UsageError, match="'a' has 12, 'b' has 9"):
        read_arrays(tmp_path / "a.npz")


def test_missing_empty_and_foreign_files_say_which(tmp_path):
    with pytest.raises(MissingError, match="no file"):
        read_arrays(tmp_path / "a.npy")
    (tmp_path / "e.npy").touch()
    with pytest.raises(UsageError, match="is empty"):
        read_arrays(tmp_path / "e.npy")
    (tmp_path / "d.npy").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        read_arrays(tmp_path / "d.npy")
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"not '\.xlsx'"):
        read_arrays(tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "z.npz", "w"):
        pass
    with pytest.raises(UsageError, match="holds no array"):
        read_arrays(tmp_path / "z.npz")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["npy", "npz", "safetensors"]), st.data())
def test_damaged_files_end_in_a_message(tmp_path, ending, data):
    path = tmp_path / f"a.{ending}"
    rows = np.arange(40, dtype=np.float32).reshape(10, 4)
    {"npy": lambda: np.save(path, rows), "npz": lambda: np.savez_compressed(path, a=rows),
     "safetensors": lambda: save_file({"a": rows}, path)}[ending]()  # fmt: skip
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        sites = read_arrays(path)
    except ConceptprobeError:
        return
    assert all(np.isfinite(x).all() and x.ndim == 2 for x in sites.values())
