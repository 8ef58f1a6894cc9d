"""Train `words:cooccurrence`: word vectors from nothing but which words stand near which in public-domain books.

    python zoo/cooccurrence.py --books books.txt.xz --similarity word-similarity \\
        --out conceptprobe/models/zoo/cooccurrence

Positive pointwise mutual information with context-distribution smoothing, factored by a truncated SVD with weighted
eigenvalues (Levy, Goldberg & Dagan 2015, https://aclanthology.org/Q15-1016). What the SVD sees are counts of word
pairs: no sentence, no order beyond distance, no sense. Whatever these vectors know of a concept, "the statistical
patterns of human text" explain.

The file reads in the order of the work: tokens, counts, PPMI, SVD, similarity judgements, selection, output.
"""

from __future__ import annotations

import argparse
import json
import lzma
import platform
import re
import sys
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors.numpy import save
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.linalg import svds
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from conceptprobe.errors import ConceptprobeError, MissingError, UsageError
from conceptprobe.files import write_bytes, write_text
from conceptprobe.models.cooccurrence import FILES, CooccurrenceVectors, normalise
from conceptprobe.stimuli.words import words

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SEPARATOR = "<|endoftext|>"
_FRONT_MATTER = re.compile(r"(Title|Author|Year): ")

WEIGHTINGS: dict[str, Callable[[int, int], float]] = {
    "flat": lambda distance, window: 1.0,
    "harmonic": lambda distance, window: 1.0 / distance,
    "linear": lambda distance, window: (window - distance + 1) / window,
}
"""Weight of a neighbour at a distance; `linear` is word2vec's dynamic window, `harmonic` is GloVe's."""

WINDOWS = (2, 5, 10)
POWERS = (0.0, 0.25, 0.5)
SHIFTS = (1, 2, 5)

SELECTION_SETS: dict[str, str] = {
    "MEN": "EN-MEN-TR-3k.txt",
    "SimLex-999": "EN-SIMLEX-999.txt",
    "WordSim-353": "EN-WS-353-ALL.txt",
}
"""A seeded half of each chooses the hyper-parameters."""

UNTOUCHED_SETS: dict[str, str] = {
    "MTurk-771": "EN-MTurk-771.txt",
    "RG-65": "EN-RG-65.txt",
    "SimVerb-3500": "EN-SimVerb-3500.txt",
    "Rare Words": "EN-RW-STANFORD.txt",
}
"""No choice sees their judgements; a pair that a development half holds too is left out of their `test` row."""


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters, in the names of Levy, Goldberg & Dagan (2015)."""

    window: int = 5
    """Words on each side that count as context."""
    weighting: str = "linear"
    """How a neighbour's weight falls with distance, a key of WEIGHTINGS."""
    smoothing: float = 0.75
    """Context counts are raised to this power, so that rare contexts do not win (their `cds`)."""
    shift: int = 1
    """log(shift) is subtracted from every PMI; word2vec's number of negative samples (their `neg`)."""
    power: float = 0.25
    """Singular values are raised to this power in the word vectors (their `eig`)."""

    def __str__(self) -> str:
        return f"window {self.window} {self.weighting}, shift {self.shift}, power {self.power:g}"


# ---------------------------------------------------------------------------------------------------------- tokens


class Corpus(NamedTuple):
    """A tokenised corpus; `tokens[t]` is a row of `vocabulary`, or -1 for a word outside it."""

    tokens: Int[np.ndarray, " t"]
    books: Int[np.ndarray, " t"]
    """Number of the book each token stands in; windows never reach into another book."""
    vocabulary: list[str]
    counts: Int[np.ndarray, " v"]


def read_books(path: Path, progress: Progress) -> Corpus:
    """Stream an xz file of books into a corpus over all of its words, the most frequent first.

    Possessive 's is dropped as the stimuli drop it; the front matter `Title:`, `Author:`, `Year:` is no text.
    """
    ids: dict[str, int] = {}
    tokens, books, book = array("i"), array("i"), 0
    with path.open("rb") as raw, TextIOWrapper(lzma.open(raw), encoding="utf-8") as lines:
        task = progress.add_task("tokenise (MB of xz)", total=round(path.stat().st_size / 1e6))
        for number, line in enumerate(lines):
            if line.strip() == SEPARATOR:
                book += 1
            elif not _FRONT_MATTER.match(line):
                found = [ids.setdefault(w.removesuffix("'s"), len(ids)) for w in words(line)]
                tokens.extend(found)
                books.extend([book] * len(found))
            if number % 10_000 == 0:
                progress.update(task, completed=round(raw.tell() / 1e6))
        progress.update(task, completed=progress.tasks[task].total)
    seen = np.asarray(tokens, dtype=np.int32)
    counts = np.bincount(seen, minlength=len(ids))
    names = list(ids)
    order = sorted(range(len(names)), key=lambda i: (-counts[i], names[i]))
    rank = np.empty(len(names), dtype=np.int32)
    rank[order] = np.arange(len(names), dtype=np.int32)
    return Corpus(rank[seen], np.asarray(books, dtype=np.int32), [names[i] for i in order], counts[order])


def restrict(corpus: Corpus, size: int, min_books: int) -> Corpus:
    """The `size` most frequent words among those of at least `min_books` books; the others become -1.

    A character's name is frequent in one book and unknown to the rest: the second rule keeps it out.
    """
    n = len(corpus.vocabulary)
    pairs = np.unique(corpus.books.astype(np.int64) * n + corpus.tokens)
    in_books = np.bincount(pairs % n, minlength=n)
    kept = np.flatnonzero(in_books >= min_books)[:size]
    rows = np.full(n, -1, dtype=np.int32)
    rows[kept] = np.arange(len(kept), dtype=np.int32)
    return Corpus(rows[corpus.tokens], corpus.books, [corpus.vocabulary[i] for i in kept], corpus.counts[kept])


# ---------------------------------------------------------------------------------------------------------- counts


def distance_counts(corpus: Corpus, distance: int) -> csr_matrix:
    """[v, v] integers: how often word j stands exactly `distance` tokens after word i in the same book.

    Words outside the vocabulary keep their place: they are skipped, not closed over.
    """
    v = len(corpus.vocabulary)
    first, second = corpus.tokens[:-distance], corpus.tokens[distance:]
    both = (first >= 0) & (second >= 0) & (corpus.books[:-distance] == corpus.books[distance:])
    ones = np.ones(int(both.sum()), dtype=np.int32)
    return coo_matrix((ones, (first[both], second[both])), shape=(v, v)).tocsr()


def window_counts(by_distance: Sequence[csr_matrix], window: int, weighting: str) -> csr_matrix:
    """[v, v] symmetric weighted counts; `by_distance[d - 1]` are the counts at distance d."""
    weight = WEIGHTINGS[weighting]
    total = by_distance[0] * weight(1, window)
    for distance in range(2, window + 1):
        total = total + by_distance[distance - 1] * weight(distance, window)
    return csr_matrix(total + total.T)


def ppmi(counts: csr_matrix, smoothing: float, shift: int) -> csr_matrix:
    """max(0, log(p(w, c) / (p(w) p_smoothed(c))) - log shift), [v, v], in nats, float32."""
    row = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    column = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel() ** smoothing
    # a word with no neighbour at all has no entry to divide
    log_row = np.log(np.where(row > 0, row, 1.0))
    log_column = np.log(np.where(column > 0, column, 1.0) / column.sum())
    data = np.log(counts.data)
    data -= np.repeat(log_row, np.diff(counts.indptr))
    data -= log_column[counts.indices]
    data -= np.log(shift)
    np.maximum(data, 0.0, out=data)
    positive = csr_matrix((data.astype(np.float32), counts.indices.copy(), counts.indptr.copy()), shape=counts.shape)
    positive.eliminate_zeros()
    return positive


# ------------------------------------------------------------------------------------------------------------- svd


def factor(matrix: csr_matrix, dim: int) -> tuple[Float[np.ndarray, "v d"], Float[np.ndarray, " d"]]:
    """Left singular vectors and singular values, largest first; the largest entry of each vector is positive."""
    if dim >= min(matrix.shape):
        raise UsageError(f"{dim} dimensions need more than {min(matrix.shape)} words", hint="lower --dim")
    start = np.full(matrix.shape[0], matrix.shape[0] ** -0.5, dtype=matrix.dtype)
    left, values, _ = svds(matrix, k=dim, v0=start, return_singular_vectors="u")
    order = np.argsort(-values, kind="stable")
    left, values = left[:, order], values[order]
    return left * np.sign(left[np.abs(left).argmax(axis=0), np.arange(dim)]), values


def word_vectors(
    left: Float[np.ndarray, "v d"], values: Float[np.ndarray, " d"], power: float
) -> Float[np.ndarray, "v d"]:
    """float16 word vectors: the singular values to a power, scaled so that the mean row has norm 1."""
    vectors = left * values**power
    scaled: Float[np.ndarray, "v d"] = (vectors / np.linalg.norm(vectors, axis=1).mean()).astype(np.float16)
    return scaled


# ------------------------------------------------------------------------------------------- similarity judgements


class Judgements(NamedTuple):
    """Pairs of words that people judged; `score` in the set's own units, higher is more alike."""

    pairs: list[tuple[str, str]]
    score: Float[np.ndarray, " n"]


def read_judgements(folder: Path, files: Mapping[str, str]) -> dict[str, Judgements]:
    """Similarity sets by name: one pair a line, `word word score`, as published by faruqui/eval-word-vectors."""
    sets = {}
    for name, file in files.items():
        if not (folder / file).is_file():
            raise MissingError(f"no {file} in {folder}", hint="--similarity takes a folder of word-similarity sets")
        lines = [line.split() for line in (folder / file).read_text(encoding="utf-8").splitlines() if line.strip()]
        pairs = [(normalise(first), normalise(second)) for first, second, _ in lines]
        sets[name] = Judgements(pairs, np.array([float(line[2]) for line in lines]))
    return sets


def development_halves(sets: Mapping[str, Judgements], seed: int) -> dict[str, Int[np.ndarray, " n"]]:
    """For each set a mask of the pairs that may choose hyper-parameters: a random half."""
    rng = np.random.default_rng(seed)
    return {name: rng.permutation(len(s.pairs)) < len(s.pairs) // 2 for name, s in sets.items()}


class Agreement(NamedTuple):
    """Spearman correlation of cosines with judgements, over the pairs whose two words are known."""

    rho: float
    low: float
    high: float
    """95% interval by Fisher's z with the standard error of Fieller, Hartley & Pearson (1957)."""
    null_q95: float
    """95th percentile of |rho| when vectors are dealt to words at random."""
    n: int
    pairs: int


def agreement(
    vectors: Float[np.ndarray, "v d"],
    index: Mapping[str, int],
    judged: Judgements,
    mask: Int[np.ndarray, " n"] | None = None,
    permutations: int = 0,
    seed: int = 0,
) -> Agreement:
    """How well cosines of word vectors order the pairs of one set (those of `mask`) as people do."""
    chosen = np.arange(len(judged.pairs)) if mask is None else np.flatnonzero(mask)
    known = [i for i in chosen if judged.pairs[i][0] in index and judged.pairs[i][1] in index]
    if len(known) < 4:
        return Agreement(float("nan"), float("nan"), float("nan"), float("nan"), len(known), len(chosen))
    rows = np.array([[index[w] for w in judged.pairs[i]] for i in known])
    norms = np.linalg.norm(vectors.astype(np.float32), axis=1, keepdims=True)
    unit = vectors.astype(np.float32) / np.where(norms > 0, norms, 1.0)

    def correlation(rows: Int[np.ndarray, "n 2"]) -> float:
        cosines = np.einsum("nd,nd->n", unit[rows[:, 0]], unit[rows[:, 1]])
        return float(spearmanr(cosines, judged.score[known]).statistic)

    rho = correlation(rows)
    half = 1.96 * np.sqrt(1.06 / (len(known) - 3))
    low, high = np.tanh(np.arctanh(np.clip(rho, -0.999, 0.999)) + np.array([-half, half]))
    rng = np.random.default_rng(seed)
    null = [abs(correlation(rng.permutation(len(unit))[rows])) for _ in range(permutations)]
    null_q95 = float(np.quantile(null, 0.95)) if null else float("nan")
    return Agreement(rho, float(low), float(high), null_q95, len(known), len(chosen))


# ------------------------------------------------------------------------------------------------------- selection


class Trial(NamedTuple):
    """One setting and its correlation on the development half of each set."""

    settings: Settings
    rho: dict[str, float]

    @property
    def mean(self) -> float:
        """The criterion: mean Spearman over the three development halves."""
        return float(np.mean(list(self.rho.values())))


def select(
    by_distance: Sequence[csr_matrix],
    index: Mapping[str, int],
    sets: Mapping[str, Judgements],
    halves: Mapping[str, Int[np.ndarray, " n"]],
    dim: int,
    progress: Progress,
) -> tuple[Settings, Float[np.ndarray, "v d"], list[Trial]]:
    """Settings with the best mean on the development halves, their vectors, and all that was tried.

    First every window, weighting and power without a shift; then the shifts at the best window and weighting.
    """
    trials: list[Trial] = []
    best: tuple[float, Settings, Float[np.ndarray, "v d"]] | None = None
    task = progress.add_task("select (SVDs)", total=len(WINDOWS) * len(WEIGHTINGS) + len(SHIFTS) - 1)

    def settings_to_factor() -> Iterator[Settings]:
        for window in WINDOWS:
            for weighting in WEIGHTINGS:
                yield Settings(window, weighting)
        if best is not None:
            yield from [replace(best[1], shift=shift) for shift in SHIFTS[1:]]

    for plan in settings_to_factor():
        counts = window_counts(by_distance, plan.window, plan.weighting)
        associated = ppmi(counts, plan.smoothing, plan.shift)
        if not associated.nnz:
            continue  # in a small corpus a large shift leaves nothing
        left, values = factor(associated, dim)
        for power in POWERS:
            settings = replace(plan, power=power)
            vectors = word_vectors(left, values, power)
            trial = Trial(settings, {n: agreement(vectors, index, sets[n], halves[n]).rho for n in SELECTION_SETS})
            trials.append(trial)
            progress.console.print(f"{settings}: mean development rho {trial.mean:.4f}", highlight=False)
            if best is None or trial.mean > best[0]:
                best = trial.mean, settings, vectors
        progress.advance(task)
    if best is None:
        raise UsageError("no pair of the similarity sets is in the vocabulary", hint="raise --vocabulary")
    return best[1], best[2], trials


# ---------------------------------------------------------------------------------------------------------- output


def write_vectors(
    out: Path,
    vectors: Float[np.ndarray, "v d"],
    corpus: Corpus,
    settings: Settings,
    trials: Sequence[Trial],
    extra: Mapping[str, object],
) -> None:
    """The four files the reader needs; hashes last, so that a killed run is refused and not half read."""
    config = {
        "model_type": "cooccurrence",
        "dim": int(vectors.shape[1]),
        "vocab": len(corpus.vocabulary),
        **asdict(settings),
        "tokens": len(corpus.tokens),
        "books": int(corpus.books.max()) + 1,
        **extra,
        "selection": [{**asdict(t.settings), "rho": {n: round(rho, 6) for n, rho in t.rho.items()}} for t in trials],
    }
    tensors = {"vectors": np.ascontiguousarray(vectors), "counts": corpus.counts.astype(np.int32)}
    content = {
        "vectors.safetensors": save(tensors),
        "vocab.txt": ("\n".join(corpus.vocabulary) + "\n").encode(),
        "config.json": (json.dumps(config, indent=2) + "\n").encode(),
    }
    for name in FILES:
        write_bytes(out / name, content[name])
    hashes = {name: sha256(content[name]).hexdigest() for name in FILES}
    write_text(out / "sha256.json", json.dumps(hashes, indent=2) + "\n")


CARD = """\
# words:cooccurrence

Static word vectors that know one thing: which words stand near which in old books. They are the baseline "the
statistical patterns of human text": a concept that a mean of these vectors finds needs no language model to explain it.

| | |
|---|---|
| vectors | {vocab:,} words x {dim} dimensions, float16, mean row norm 1; `counts` holds each word's frequency |
| method | positive PMI with smoothed contexts, truncated SVD (Levy, Goldberg & Dagan 2015) |
| text | {books} public-domain books, {tokens:,} words, github mlschmitt/classic-books-markdown @944882722e |
| sha256 of the text | `{text_sha256}` |
| tokens | `conceptprobe.stimuli.words.words`: lower case, inner apostrophes kept, possessive 's dropped |
| vocabulary | the most frequent words of those in {min_books} books or more; the rarest occurs {rarest} times |
| share of running words covered | {running:.1%} |
| window | {window} words on each side, {weighting} weights, within one book; unknown words keep their place |
| PMI | context smoothing {smoothing:g}, shift log {shift}, negative values set to 0 |
| SVD | {dim} dimensions, singular values to the power {power:g} |
| licence of the vectors | CC0-1.0 or Apache-2.0, as you like |

## Agreement with human judgements of word similarity

Spearman correlation of the cosine with the judgement, over pairs whose two words are in the vocabulary ("known"); the
others are left out, so figures are not comparable with those of models that know every word. Intervals are 95%. "Null"
is the 95th percentile of |rho| over {permutations} random assignments of these vectors to words.

{table}

Chosen on the development halves alone ("dev": a seeded half of the pairs of three sets): window, weighting, power,
shift, by the mean of the three correlations. The pairs of "test" chose nothing: no development half holds them. They
share words with pairs that did; the sets without a development half are the cleaner evidence. Context smoothing was
fixed beforehand; size and dimensions were set by the room in the package (12 MB), and the rule for the vocabulary by
how many of all pairs it covers, without their judgements. Looked at on the same development halves and not kept: 150
to 300 dimensions, mean-centring, dropping the first component, fewer contexts, discounting rare pairs, subsampling
frequent words.

<details><summary>All settings tried, on the development halves</summary>

{trials}

</details>

## Limits

English of the 19th century and before, much of it translated: no computers, few sciences, old spellings, the views of
its time. One vector per word form: senses are mixed, inflections are separate words, phrases are unknown. Rare
words are noisy. Similarity is mostly shared topic (high on MEN) and less sameness of meaning (low on SimLex-999).

## Files

| file | bytes | sha256 |
|---|---|---|
{files}

Made by

    {command}

with Python {python}, numpy {numpy}, scipy {scipy}. No step is random but the split of the pairs (seed {seed}); two runs
on one machine give the same bytes, and other machines the same up to rounding.
"""


def card_table(found: CooccurrenceVectors, folder: Path, seed: int, permutations: int) -> str:
    """Markdown rows of correlations for every set and part, measured on the stored vectors."""
    sets = read_judgements(folder, SELECTION_SETS)
    halves = development_halves(sets, seed)
    sets |= read_judgements(folder, UNTOUCHED_SETS)
    chose = {frozenset(sets[name].pairs[i]) for name, half in halves.items() for i in np.flatnonzero(half)}
    parts: list[tuple[str, str, Judgements, Int[np.ndarray, " n"] | None]] = []
    for name, judged in sets.items():
        if name in halves:
            parts.append((name, "dev", judged, halves[name]))
        parts.append((name, "test", judged, np.array([frozenset(pair) not in chose for pair in judged.pairs])))
        parts.append((name, "all", judged, None))
    rows = ["| set | pairs | known | coverage | rho | interval | null |", "|---|---|---|---|---|---|---|"]
    for name, part, judged, mask in parts:
        a = agreement(found.vectors, found.index, judged, mask, permutations, seed)
        rows.append(
            f"| {name} ({part}) | {a.pairs} | {a.n} | {a.n / max(a.pairs, 1):.0%} "
            f"| {a.rho:.3f} | {a.low:.3f} to {a.high:.3f} | {a.null_q95:.3f} |"
        )
    return "\n".join(rows)


def trials_table(trials: Sequence[Mapping[str, Any]]) -> str:
    """Markdown rows of what selection saw, the best first; `trials` as in config.json."""
    columns = ("window", "weighting", "shift", "power")
    rows = ["| " + " | ".join([*columns, *SELECTION_SETS, "mean"]) + " |"]
    rows.append("|---" * (len(columns) + len(SELECTION_SETS) + 1) + "|")
    for trial in sorted(trials, key=lambda t: -sum(t["rho"].values())):
        values = [f"{trial[name]:g}" if name != "weighting" else trial[name] for name in columns]
        values += [f"{rho:.3f}" for rho in trial["rho"].values()]
        rows.append("| " + " | ".join([*values, f"{np.mean(list(trial['rho'].values())):.4f}"]) + " |")
    return "\n".join(rows)


def write_card(arguments: argparse.Namespace) -> str:
    """README.md from the files as they lie in the output folder; returns the table of correlations."""
    out = arguments.out
    found = CooccurrenceVectors.load(out)
    table = card_table(found, arguments.similarity, arguments.seed, arguments.permutations)
    files = [f"| {n} | {(out / n).stat().st_size:,} | `{sha256((out / n).read_bytes()).hexdigest()}` |" for n in FILES]
    card = CARD.format(
        **{**found.config, "seed": arguments.seed},
        rarest=int(found.counts.min()),
        running=found.counts.sum() / found.config["tokens"],
        permutations=arguments.permutations,
        table=table,
        trials=trials_table(found.config["selection"]),
        files="\n".join(files),
        command=command_line(arguments),
        python=platform.python_version(),
        numpy=np.__version__,
        scipy=scipy.__version__,
    )
    write_text(out / "README.md", card)
    return table


# -------------------------------------------------------------------------------------------------------- command


def parser() -> argparse.ArgumentParser:
    """The options of this command."""
    p = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    p.add_argument("--books", type=Path, required=True, help=f"xz text, books separated by a line {SEPARATOR}")
    p.add_argument(
        "--similarity", type=Path, help="folder of similarity sets (default: word-similarity beside the books)"
    )
    p.add_argument("--out", type=Path, required=True, help="folder for vectors, vocabulary, configuration and card")
    p.add_argument("--vocabulary", type=int, default=28_000, help="number of words (default %(default)s)")
    p.add_argument("--min-books", type=int, default=5, help="books a word must occur in (default %(default)s)")
    p.add_argument("--dim", type=int, default=200, help="dimensions (default %(default)s)")
    p.add_argument("--permutations", type=int, default=999, help="draws of the null in the card (default %(default)s)")
    p.add_argument("--card-only", action="store_true", help="measure the vectors in --out and write their card again")
    p.add_argument("--seed", type=int, default=0, help="seed of the split into halves (default %(default)s)")
    return p


def command_line(arguments: argparse.Namespace) -> str:
    """The command that made the files, with file names instead of this machine's folders."""
    root = Path(__file__).resolve().parent.parent
    out = arguments.out.resolve()
    where = out.relative_to(root).as_posix() if out.is_relative_to(root) else out.name
    typed = f"python zoo/cooccurrence.py --books {arguments.books.name} --similarity {arguments.similarity.name}"
    typed += f" --out {where}"
    for option in ("vocabulary", "min_books", "dim", "permutations", "seed"):
        if getattr(arguments, option) != parser().get_default(option):
            typed += f" --{option.replace('_', '-')} {getattr(arguments, option)}"
    return typed


def file_sha256(path: Path) -> str:
    """Hash of a file that need not fit in memory."""
    digest = sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def train(arguments: argparse.Namespace) -> None:
    """Count, factor, choose, write."""
    if not arguments.books.is_file():
        raise MissingError(f"no file {arguments.books}", hint="--books takes an xz file of plain text")
    sets = read_judgements(arguments.similarity, SELECTION_SETS)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console) as progress:
        everything = read_books(arguments.books, progress)
        corpus = restrict(everything, arguments.vocabulary, arguments.min_books)
        index = {word: row for row, word in enumerate(corpus.vocabulary)}
        by_distance = [
            distance_counts(corpus, d) for d in progress.track(range(1, max(WINDOWS) + 1), description="count pairs")
        ]
        halves = development_halves(sets, arguments.seed)
        settings, vectors, trials = select(by_distance, index, sets, halves, arguments.dim, progress)
        extra = {
            "min_books": arguments.min_books,
            "seed": arguments.seed,
            "text_sha256": file_sha256(arguments.books),
            "trained_on": ["mlschmitt/classic-books-markdown@944882722e"],
        }
        write_vectors(arguments.out, vectors, corpus, settings, trials, extra)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, then measure what was written."""
    arguments = parser().parse_args(argv)
    arguments.similarity = arguments.similarity or arguments.books.parent / "word-similarity"
    try:
        # one thread: with more, the order of sums, and so the last bits, would depend on the machine's cores
        with threadpool_limits(1):
            if not arguments.card_only:
                train(arguments)
            print(write_card(arguments))
    except ConceptprobeError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
