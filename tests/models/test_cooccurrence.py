"""Co-occurrence vectors: counts are right, planted topics are found, the packaged files are what their card says."""

from __future__ import annotations

import importlib.util
import itertools
import json
import lzma
import math
import os
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.progress import Progress
from scipy.stats import spearmanr

from conceptprobe.errors import ConceptprobeError, CorruptError, MissingError, UsageError
from conceptprobe.models.cooccurrence import FILES, FOLDER, CooccurrenceVectors
from conceptprobe.stimuli.words import words

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CONCEPTPROBE_SHARED", ROOT.parent / "shared"))


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("zoo_cooccurrence", ROOT / "zoo" / "cooccurrence.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


zoo = _script()

TOPICS = (
    ("sea", "ship", "sail", "wave", "captain", "harbour"),
    ("king", "queen", "throne", "crown", "palace", "prince"),
    ("bread", "oven", "flour", "kitchen", "butter", "supper"),
    ("forest", "oak", "leaf", "branch", "root", "moss"),
    ("doctor", "fever", "pulse", "patient", "nurse", "remedy"),
    ("song", "fiddle", "dance", "tune", "singer", "waltz"),
    ("soul", "prayer", "angel", "heaven", "altar", "grace"),
    ("horse", "saddle", "stable", "rider", "hoof", "bridle"),
)
SPARSE = ["--vocabulary", "60", "--min-books", "2", "--dim", "12", "--permutations", "19"]


def _planted(folder: Path) -> list[str]:
    """A small corpus whose sentences keep to one topic, judgements that say so, and the command's arguments."""
    rng = np.random.default_rng(7)
    books = []
    for number in range(6):
        lines = [f"Title: planted {number}", "Author: nobody"]
        for _ in range(150):
            topic = TOPICS[rng.integers(len(TOPICS))]
            lines.append("The " + " ".join(rng.choice(topic, size=10)) + ".\n")
        books.append("\n".join(lines))
    folder.mkdir(parents=True)
    text = f"\n{zoo.SEPARATOR}\n".join(books) + "\nGandalf gandalf gandalf gandalf gandalf.\n"
    (folder / "books.txt.xz").write_bytes(lzma.compress(text.encode()))
    (folder / "word-similarity").mkdir()
    topic_of = {word: number for number, topic in enumerate(TOPICS) for word in topic}
    pairs = [
        f"{a}\t{b}\t{5 * (topic_of[a] == topic_of[b]) + rng.random():.3f}"
        for a, b in itertools.combinations(topic_of, 2)
    ]
    for file in (zoo.SELECTION_SETS | zoo.UNTOUCHED_SETS).values():
        (folder / "word-similarity" / file).write_text("\n".join(pairs) + "\n")
    return ["--books", str(folder / "books.txt.xz"), "--out", str(folder / "out"), *SPARSE]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cooccurrence") / "first"
    assert zoo.main(_planted(folder)) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def packaged() -> CooccurrenceVectors:
    return CooccurrenceVectors.load()


def _cosine(vectors: CooccurrenceVectors, first: str, second: str) -> float:
    a, b = vectors.mean([first]), vectors.mean([second])
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


# ---------------------------------------------------------------------------------------------------- counting


books_of_tokens = st.lists(st.lists(st.integers(-1, 4), max_size=12), min_size=1, max_size=4)


@settings(deadline=None, max_examples=60)
@given(books_of_tokens, st.integers(1, 4), st.sampled_from(sorted(zoo.WEIGHTINGS)))
def test_window_counts_equal_a_count_by_hand(books: list[list[int]], window: int, weighting: str) -> None:
    tokens = np.array([t for book in books for t in book], dtype=np.int32)
    numbers = np.array([n for n, book in enumerate(books) for _ in book], dtype=np.int32)
    corpus = zoo.Corpus(tokens, numbers, list("abcde"), np.zeros(5))
    weights = {
        "flat": [1.0] * window,
        "harmonic": [1 / d for d in range(1, window + 1)],
        "linear": [1 - (d - 1) / window for d in range(1, window + 1)],
    }[weighting]
    expected = np.zeros((5, 5))
    for book in books:
        for i, a in enumerate(book):
            for j, b in enumerate(book):
                if a >= 0 and b >= 0 and 0 < abs(i - j) <= window:
                    expected[a, b] += weights[abs(i - j) - 1]
    by_distance = [zoo.distance_counts(corpus, d) for d in range(1, window + 1)]
    np.testing.assert_allclose(zoo.window_counts(by_distance, window, weighting).toarray(), expected, atol=1e-12)


def test_ppmi_is_the_formula_and_zero_for_independent_words() -> None:
    counts = np.array([[0.0, 4, 1], [4, 2, 0], [1, 0, 6]])
    context = counts.sum(0) ** 0.75 / (counts.sum(0) ** 0.75).sum()
    expected = np.zeros((3, 3))
    for i, j in np.argwhere(counts > 0):
        expected[i, j] = max(0.0, math.log(counts[i, j] / counts[i].sum() / context[j]) - math.log(2))
    found = zoo.ppmi(zoo.csr_matrix(counts), 0.75, 2)
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-6)
    assert found.nnz == np.count_nonzero(expected) > 0
    independent = np.outer([1.0, 2, 3], [1.0, 2, 3])
    assert zoo.ppmi(zoo.csr_matrix(independent), 1.0, 1).toarray().max() < 1e-6


def test_text_is_cut_as_the_stimuli_are(tmp_path: Path) -> None:
    text = f"Title: Ghosts\n\nThe king\u2019s KING, don't!\n{zoo.SEPARATOR}\nA king's self-image.\n"
    (tmp_path / "b.xz").write_bytes(lzma.compress(text.encode()))
    with Progress(disable=True) as progress:
        corpus = zoo.read_books(tmp_path / "b.xz", progress)
    spelled: list[list[str]] = [[], []]
    for token, book in zip(corpus.tokens, corpus.books, strict=True):
        spelled[book].append(corpus.vocabulary[token])
    assert spelled == [["the", "king", "king", "don't"], ["a", "king", "self", "image"]]
    assert corpus.vocabulary[0] == "king"
    assert corpus.counts.tolist() == [3, 1, 1, 1, 1, 1]


def test_a_word_of_one_book_is_left_out_however_frequent() -> None:
    corpus = zoo.Corpus(
        np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 0, 0, 1, 1]), ["ahab", "sea", "rare"], np.array([3, 2, 1])
    )
    kept = zoo.restrict(corpus, 5, 2)
    assert kept.vocabulary == ["sea"]
    assert kept.counts.tolist() == [2]
    assert kept.tokens.tolist() == [-1, -1, -1, 0, 0, -1]


# ----------------------------------------------------------------------------------------------- the whole script


def test_words_that_share_contexts_are_nearer_than_words_that_do_not(planted: Path) -> None:
    found = CooccurrenceVectors.load(planted)
    within = [_cosine(found, a, b) for topic in TOPICS for a, b in itertools.combinations(topic, 2)]
    across = [_cosine(found, a, b) for s, t in itertools.combinations(TOPICS, 2) for a in s for b in t]
    assert min(within) > max(across)
    for topic in TOPICS:
        assert {word for word, _ in found.nearest(topic[0], 5)} == set(topic[1:])
    assert "gandalf" not in found.index
    assert "title" not in found.index


def test_two_runs_write_the_same_bytes(planted: Path, tmp_path: Path) -> None:
    arguments = _planted(tmp_path / "second")
    environment = os.environ | {"PYTHONHASHSEED": "99", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "zoo" / "cooccurrence.py"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| MEN (") == 3
    second = tmp_path / "second" / "out"
    assert sorted(p.name for p in second.iterdir()) == sorted([*FILES, "sha256.json", "README.md"])
    for file in second.iterdir():
        assert file.read_bytes() == (planted / file.name).read_bytes(), file.name


def test_the_card_can_be_made_again_from_the_files(planted: Path) -> None:
    before = (planted / "README.md").read_bytes()
    books = planted.parent / "books.txt.xz"
    assert zoo.main(["--books", str(books), "--out", str(planted), *SPARSE, "--card-only"]) == 0
    assert (planted / "README.md").read_bytes() == before


def test_hyper_parameters_never_see_the_test_half(planted: Path) -> None:
    """Reversing every judgement outside the development halves changes no choice and no vector."""
    folder = planted.parent / "word-similarity"
    sets = zoo.read_judgements(folder, zoo.SELECTION_SETS)
    halves = zoo.development_halves(sets, 0)
    for name, judged in sets.items():
        assert halves[name].sum() == len(judged.pairs) // 2
        judged.score[~halves[name]] *= -1
    with Progress(disable=True) as progress:
        corpus = zoo.restrict(zoo.read_books(planted.parent / "books.txt.xz", progress), 60, 2)
        index = {word: row for row, word in enumerate(corpus.vocabulary)}
        by_distance = [zoo.distance_counts(corpus, d) for d in range(1, max(zoo.WINDOWS) + 1)]
        chosen, vectors, trials = zoo.select(by_distance, index, sets, halves, 12, progress)
    found = CooccurrenceVectors.load(planted)
    assert {k: found.config[k] for k in ("window", "weighting", "shift", "power")}.items() <= vars(chosen).items()
    assert len(trials) == 3 * (len(zoo.WINDOWS) * len(zoo.WEIGHTINGS) + len(zoo.SHIFTS) - 1)
    np.testing.assert_allclose(vectors.astype(np.float32), found.vectors, atol=1e-3)


def test_missing_inputs_are_errors_a_person_can_act_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = _planted(tmp_path / "x")
    (tmp_path / "x" / "word-similarity" / "EN-MEN-TR-3k.txt").unlink()
    assert zoo.main(arguments) == MissingError.exit_code
    assert "EN-MEN-TR-3k.txt" in capsys.readouterr().err
    assert not (tmp_path / "x" / "out").exists()


# ----------------------------------------------------------------------------------------------------- the reader


def test_mean_skips_unknown_words_and_says_how_many(planted: Path) -> None:
    found = CooccurrenceVectors.load(planted)
    rows = found.vectors[[found.index["king"], found.index["queen"], found.index["queen"]]]
    mean = found.mean(["queen", "zyzzyva", "king", "Queen's"])
    np.testing.assert_allclose(mean, rows.mean(0), rtol=1e-6)
    assert mean.dtype == np.float32
    assert found.coverage(["queen", "zyzzyva", "king", "Queen's"]) == 0.75
    assert not found.mean(["zyzzyva"]).any()
    assert not found.mean([]).any()
    assert found.coverage(["zyzzyva"]) == found.coverage([]) == 0.0


def test_the_order_of_words_changes_no_bit_of_the_mean(packaged: CooccurrenceVectors) -> None:
    sentence = words("the old soul of the quiet captain went down to the sea in a ship")
    expected = packaged.mean(sentence)
    for seed in range(20):
        shuffled = [sentence[i] for i in np.random.default_rng(seed).permutation(len(sentence))]
        assert np.array_equal(packaged.mean(shuffled), expected)


def test_nearest_leaves_out_the_word_and_what_is_excluded(planted: Path) -> None:
    found = CooccurrenceVectors.load(planted)
    first = found.nearest("king", 3)
    assert "king" not in dict(first)
    assert [c for _, c in first] == sorted((c for _, c in first), reverse=True)
    second = found.nearest("King's", 2, exclude=[first[0][0], "zyzzyva"])
    assert [w for w, _ in second] == [w for w, _ in first[1:]]
    assert found.nearest("king", 0) == []
    assert len(found.nearest("king", 10_000)) == len(found.words) - 1
    with pytest.raises(UsageError, match=r"'throme'.*'throne'"):
        found.nearest("throme", 3)


def _copy(planted: Path, folder: Path) -> Path:
    folder.mkdir()
    for file in planted.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_refused(planted: Path, tmp_path: Path, name: str) -> None:
    folder = _copy(planted, tmp_path / "copy")
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(CorruptError, match=re.escape(name)):
        CooccurrenceVectors.load(folder)


@pytest.mark.parametrize("name", [*FILES, "sha256.json"])
def test_a_missing_file_is_named(planted: Path, tmp_path: Path, name: str) -> None:
    folder = _copy(planted, tmp_path / "copy")
    (folder / name).unlink()
    with pytest.raises(MissingError, match=re.escape(name)) as caught:
        CooccurrenceVectors.load(folder)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vectors.safetensors", b"not tensors"),
        ("vectors.safetensors", b"\xff" * 64),
        ("vocab.txt", b"one\ntwo\n"),
        ("vocab.txt", b"\xff\xfe\n"),
        ("config.json", b"{"),
    ],
)
def test_wrong_content_under_a_right_hash_is_refused(planted: Path, tmp_path: Path, name: str, content: bytes) -> None:
    folder = _copy(planted, tmp_path / "copy")
    (folder / name).write_bytes(content)
    hashes = json.loads((folder / "sha256.json").read_text())
    (folder / "sha256.json").write_text(json.dumps(hashes | {name: sha256(content).hexdigest()}))
    with pytest.raises(CorruptError):
        CooccurrenceVectors.load(folder)


@pytest.mark.parametrize("content", [b"[]", b"{}", b"{", b"\xff"])
def test_unreadable_hashes_are_refused(planted: Path, tmp_path: Path, content: bytes) -> None:
    folder = _copy(planted, tmp_path / "copy")
    (folder / "sha256.json").write_bytes(content)
    with pytest.raises(ConceptprobeError):
        CooccurrenceVectors.load(folder)


def test_reading_imports_neither_torch_nor_scikit_learn() -> None:
    code = "import sys, conceptprobe.models.cooccurrence as c; c.CooccurrenceVectors.load()"
    code += "; print([m for m in ('torch', 'sklearn', 'scipy') if m in sys.modules])"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ------------------------------------------------------------------------------------------------ packaged vectors

RELATED = """
king queen, ship sail, doctor patient, soul spirit, bread butter, horse saddle, sun moon, church priest, forest trees,
brother sister, gold silver, summer winter, sword battle, money rich, music song, fire smoke, river bank, tears wept
"""
UNRELATED = """
king cabbage, ship butter, doctor moon, soul saddle, bread sword, horse song, sun sister, church silver, forest money,
brother smoke, gold wept, summer priest, sword kitchen, money leaf, music bank, fire cousin, river tailor, tears saddle
"""


def _pairs(listed: str) -> list[list[str]]:
    return [pair.split() for pair in listed.replace("\n", " ").split(",")]


def test_related_words_are_nearer_than_unrelated_ones(packaged: CooccurrenceVectors) -> None:
    related = [_cosine(packaged, *pair) for pair in _pairs(RELATED)]
    unrelated = [_cosine(packaged, *pair) for pair in _pairs(UNRELATED)]
    assert np.mean(related) > np.mean(unrelated) + 0.25
    assert np.mean(np.array(related)[:, None] > np.array(unrelated)[None, :]) > 0.97
    assert _cosine(packaged, "king", "queen") > _cosine(packaged, "king", "cabbage") + 0.25
    assert {"monarch", "prince", "queen", "kings", "throne"} & {word for word, _ in packaged.nearest("king", 10)}


def test_packaged_files_are_small_and_belong_together(packaged: CooccurrenceVectors) -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 11.8e6
    assert len(packaged.words) >= 20_000
    assert packaged.config["model_type"] == "cooccurrence"
    assert packaged.vectors.shape == (packaged.config["vocab"], packaged.config["dim"])
    assert packaged.vectors.dtype == np.float32
    assert np.isfinite(packaged.vectors).all()
    assert packaged.counts.dtype == np.int32
    assert (np.diff(packaged.counts) <= 0).all()
    norms = np.linalg.norm(packaged.vectors, axis=1)
    assert norms.mean() == pytest.approx(1, abs=1e-3)
    assert norms.min() > 0.05
    with pytest.raises(ValueError, match="read-only"):
        packaged.vectors[0, 0] = 1


def test_every_word_of_the_vocabulary_is_one_the_stimulus_tokeniser_makes(packaged: CooccurrenceVectors) -> None:
    assert all(words(word) == [word] for word in packaged.words)
    assert not any(word.endswith("'s") for word in packaged.words)


def _card_rows() -> dict[tuple[str, str], list[str]]:
    """(set, part) -> pairs, known, coverage, rho, interval, null as printed in the card."""
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| ([\w -]+) \((dev|test|all)\) \| (.+) \|$", card, flags=re.MULTILINE)
    return {(name, part): row.split(" | ") for name, part, row in found}


def test_the_card_names_these_files_and_no_machine() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in FILES:
        assert sha256((FOLDER / name).read_bytes()).hexdigest() in card
    assert "--books books.txt.xz" in card
    assert not re.search(r"(?<![\w/])(/\w+|\.\.)/", card), "an absolute path, or one out of the repository"
    assert len(_card_rows()) == 3 * len(zoo.SELECTION_SETS) + 2 * len(zoo.UNTOUCHED_SETS)


def test_word_statistics_agree_with_people_on_pairs_that_chose_nothing() -> None:
    rows = _card_rows()
    for name, least in (("MEN", 0.6), ("WordSim-353", 0.4), ("SimLex-999", 0.25), ("MTurk-771", 0.5)):
        pairs, known, _, rho, interval, null = rows[name, "test"]
        low, high = map(float, interval.split(" to "))
        assert float(null) < low < float(rho) < high
        assert float(rho) >= least
        assert int(known) > 100
        chose = int(rows[name, "dev"][0]) if name in zoo.SELECTION_SETS else 1
        assert int(pairs) <= int(rows[name, "all"][0]) - chose


def test_the_card_is_reproduced_from_the_packaged_vectors(packaged: CooccurrenceVectors) -> None:
    folder = SHARED / "data" / "word-similarity"
    if not folder.is_dir():
        pytest.skip("no word-similarity sets here; set CONCEPTPROBE_SHARED")
    rows = _card_rows()
    for name, file in (zoo.SELECTION_SETS | zoo.UNTOUCHED_SETS).items():
        lines = [line.lower().split() for line in (folder / file).read_text(encoding="utf-8").splitlines() if line]
        known = [(a, b, float(score)) for a, b, score in lines if a in packaged.index and b in packaged.index]
        rho = spearmanr([_cosine(packaged, a, b) for a, b, _ in known], [score for *_, score in known]).statistic
        pairs, n, coverage, printed, *_ = rows[name, "all"]
        assert (int(pairs), int(n)) == (len(lines), len(known)), name
        assert coverage == f"{len(known) / len(lines):.0%}"
        assert float(printed) == pytest.approx(rho, abs=1e-3), name
