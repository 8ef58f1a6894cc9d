"""Tables of labels: conventions, separators, and every mistake with a message of its own."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from conceptprobe.errors import ConceptprobeError, MissingError, UsageError
from conceptprobe.pipeline.labels import read_labels


@pytest.fixture
def table(tmp_path):
    def write(text: str, name: str = "y.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("values", "meaning"),
    [
        ("1 0 1 0", ("1", "0")),
        ("1.0 0.0 1.0 0.0", ("1.0", "0.0")),
        ("1 -1 +1 -1", ("1", "-1")),
        ("true false TRUE False", ("true", "false")),
    ],
)
def test_the_usual_conventions_need_no_explanation(table, values, meaning):
    found = read_labels(table("label\n" + "\n".join(values.split()) + "\n"), "label", ())
    assert found.label.tolist() == [1, -1, 1, -1]
    assert found.meaning == meaning


def test_two_words_need_one_of_them_named(table):
    path = table("kind,w\nsoul,a\nstone,b\nsoul,c\n")
    found = read_labels(path, "kind", ("w",), "soul")
    assert found.label.tolist() == [1, -1, 1]
    assert found.columns == {"w": ("a", "b", "c")}
    with pytest.raises(UsageError, match="which of them is the concept"):
        read_labels(path, "kind", ())
    with pytest.raises(UsageError, match="Did you mean 'soul'"):
        read_labels(path, "kind", (), "soull")


def test_positive_turns_zero_and_one_around(table):
    assert read_labels(table("label\n1\n0\n"), "label", (), "0").label.tolist() == [-1, 1]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_separators_marks_and_line_ends_make_no_difference(tmp_path, separator, mark, newline):
    rows = [["label", "term"], ["1", f'"a{separator}b"'], ["0", "ü"]]
    text = mark + newline.join(separator.join(row) for row in rows) + newline
    (tmp_path / "y.csv").write_bytes(text.encode())
    found = read_labels(tmp_path / "y.csv", "label", ("term",))
    assert found.label.tolist() == [1, -1]
    assert found.columns["term"] == (f"a{separator}b", "ü")


@pytest.mark.parametrize("labels", [[1, 0, 1], [1.0, 0.0, 1.0], [True, False, True], ["1", "0", "1"]])
def test_parquet_gives_the_same_labels(tmp_path, labels):
    parquet.write_table(pa.table({"label": labels, "g": [3, 4, 3]}), tmp_path / "y.parquet")
    found = read_labels(tmp_path / "y.parquet", "label", ("g",))
    assert found.label.tolist() == [1, -1, 1]
    assert found.columns["g"] == ("3", "4", "3")


def test_an_empty_cell_of_parquet_is_empty(tmp_path):
    parquet.write_table(pa.table({"label": [1, 0], "g": [1.0, float("nan")]}), tmp_path / "y.parquet")
    with pytest.raises(UsageError, match="column 'g' has no value in 1 of 2 rows: 1"):
        read_labels(tmp_path / "y.parquet", "label", ("g",))


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        ("", (), "is empty"),
        ("\n\n", (), "is empty"),
        ("label\n", (), "a head and no rows"),
        ("lable\n1\n0\n", (), "no column 'label'. Did you mean 'lable'"),
        ("label,term\n1,a\n0,b\n", ("trem",), "no column 'trem'. Did you mean 'term'"),
        ("label,a,a\n1,2,3\n0,2,3\n", (), "two columns named 'a'"),
        ("label\n1\n1\n", (), "one class only: every row is '1'"),
        ("label\n1\n1.0\n", (), "one class only"),
        ("label\n0\n1\n2\n", (), "not two-valued: '0' \\(1\\), '1' \\(1\\), '2' \\(1\\)"),
        ("label\n0.2\n0.7\n0.1\n", (), "not two-valued"),
        ("label,g\n1,a\n0,\n", ("g",), "column 'g' has no value in 1 of 2 rows: 1"),
        ("label,g\n1,a\n0\n", ("g",), r"y.csv:3: 1 cells where the head has 2"),
        ('label,g\n1,"a\n0,b\n', ("g",), "cannot be read"),
        ("label\n1\n0\n", ("label",), "cannot say what belongs together"),
    ],
)
def test_each_mistake_has_its_message(table, text, columns, words):
    with pytest.raises(UsageError, match=words):
        read_labels(table(text), "label", columns)


def test_files_that_are_no_tables_say_so(tmp_path):
    with pytest.raises(MissingError, match="no file"):
        read_labels(tmp_path / "y.csv", "label", ())
    (tmp_path / "y.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_labels(tmp_path / "y.csv", "label", ())
    (tmp_path / "y.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(UsageError, match=r"not '\.pkl'"):
        read_labels(tmp_path / "y.pkl", "label", ())
    for raw, word in ((b"", "is empty"), (b"PAR1nonsense", "damaged")):
        (tmp_path / "y.parquet").write_bytes(raw)
        with pytest.raises(UsageError, match=word):
            read_labels(tmp_path / "y.parquet", "label", ())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet='label,;\t\n"01ax', max_size=60))
def test_any_text_gives_labels_or_a_message(tmp_path, text):
    (tmp_path / "y.csv").write_text("label" + text, encoding="utf-8")
    try:
        found = read_labels(tmp_path / "y.csv", "label", ())
    except ConceptprobeError:
        return
    assert set(np.unique(found.label)) == {-1, 1}
