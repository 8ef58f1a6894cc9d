"""Every code, from a valid file spoiled in one place: it is found, in the right line and column."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from conceptprobe.stimuli import check_files
from conceptprobe.stimuli.problems import CODES, ConceptFileError, Problem
from conceptprobe.stimuli.words import content_words

Document = dict[str, Any]
Spoil = Callable[[Document], None]


def errors_of(path: Path) -> list[Problem]:
    return list(check_files([path]).problems)


def put(*steps: str | int, to: Any) -> Spoil:
    """Set the value at a path."""

    def spoil(document: Document) -> None:
        here: Any = document
        for step in steps[:-1]:
            here = here[step]
        here[steps[-1]] = to

    return spoil


def drop(*steps: str | int) -> Spoil:
    """Delete the value at a path."""

    def spoil(document: Document) -> None:
        here: Any = document
        for step in steps[:-1]:
            here = here[step]
        del here[steps[-1]]

    return spoil


def cut(section: str, n: int) -> Spoil:
    """Keep the first n entries of a section."""

    def spoil(document: Document) -> None:
        document[section] = document[section][:n]

    return spoil


def replace(section: str, i: int, key: str, old: str, new: str) -> Spoil:
    """Replace a part of a text."""

    def spoil(document: Document) -> None:
        assert old in document[section][i][key]
        document[section][i][key] = document[section][i][key].replace(old, new)

    return spoil


def copy(section: str, source: int, target: int, *keys: str) -> Spoil:
    """Give an entry the values of another."""

    def spoil(document: Document) -> None:
        for key in keys:
            document[section][target][key] = document[section][source][key]

    return spoil


def share_a_word(n: int) -> Spoil:
    """Let the first n homonym contexts share a word."""

    def spoil(document: Document) -> None:
        for entry in document["homonyms"][:n]:
            entry["text"] = entry["text"].replace(".", " xshareq.")

    return spoil


def chain(label: str) -> Spoil:
    """Link the contexts of one label in groups of four (5% of 80), so that ten components are left."""

    def spoil(document: Document) -> None:
        for i, entry in enumerate(e for e in document["homonyms"] if e["label"] == label):
            entry["group"] = f"chain{label}{i // 4}"

    return spoil


def name_in(section: str, i: int, steps: tuple[str, int, str]) -> Spoil:
    """Add a word from elsewhere in the document to a text."""

    def spoil(document: Document) -> None:
        a, b, c = steps
        word = content_words(document[a][b][c])[0]
        document[section][i]["text"] = document[section][i]["text"].replace(".", f" {word}.")

    return spoil


def unbalance(document: Document) -> None:
    """Three times as many positive paraphrases as controls."""
    word = (f"xplus{c}q{d}" for c in "bcdfghklmn" for d in "aeiourtzpb")
    for i in range(90):
        document["paraphrases"].append(
            {"id": f"more{i}", "label": "positive", "group": "pg01", "sense": "essence", "text": f"Some {next(word)}."}
        )


def unbalance_a_language(document: Document) -> None:
    """All 60 positive sentences in German, and 29 of the controls."""
    word = (f"ß{c}qö{d}" for c in "bcdfghklmn" for d in "aeiourtzpb")
    positive = [s["id"] for s in document["sentences"] if s["label"] == "positive"]
    controls = [e for e in document["translations"] if e["of"].startswith("c")]
    kept = [e for e in document["translations"] if e not in controls] + controls[:29]
    for original in positive[40:]:
        text = f"Kein {next(word)} zöqa {next(word)}."
        kept.append({"id": f"de-{original}", "of": original, "lang": "de", "span": "zöqa", "text": text})
    document["translations"] = kept


def leave_out_controls_of(group: str) -> Spoil:
    """Translate the positive sentences of a group only."""

    def spoil(document: Document) -> None:
        dropped = {s["id"] for s in document["sentences"] if s["group"] == group and s["label"] == "control"}
        document["translations"] = [e for e in document["translations"] if e["of"] not in dropped]

    return spoil


def merge_groups(document: Document) -> None:
    """One group of sentences fewer."""
    for entry in document["sentences"]:
        entry["group"] = entry["group"].replace("g01", "g00")


class Case(NamedTuple):
    """One way to spoil the valid file, the code that says so, and what stands at the place it names."""

    code: str
    spoil: Spoil
    at: str
    says: str = ""


CASES = [
    Case("CP001", put("splits", "xyz", to=3), "xyz:", "Known keys here: term_folds, template_folds"),
    Case("CP001", put("sentences", 7, "tekst", to="x"), "tekst:", "Did you mean 'text'?"),
    Case("CP003", put("version", to=1.10), "1.1", 'reads 1.1 as the number 1.1; quote it: "1.1"'),
    Case("CP003", put("sentences", 3, "label", to=False), "false", "the boolean false"),
    Case("CP003", put("homonyms", 2, "text", to=None), "null", "nothing"),
    Case("CP004", drop("definition"), "schema:", "'definition'"),
    Case("CP004", drop("paraphrases", 4, "text"), "id: p002", "'text'"),
    Case("CP004", put("paraphrases", 4, "text", to=""), "''", "is empty"),
    Case("CP005", put("schema", to=2), "2", "must be 1, not '2'"),
    Case("CP005", put("splits", "term_folds", to="5"), "'5'", "whole number (without quotes)"),
    Case("CP005", put("smallest_effect", "shared", to=0.9), "0.9", "at most 0.5"),
    Case("CP005", put("smallest_effect", "shared", to=True), "true", "must be a number"),
    Case("CP005", put("sentences", 3, "label", to="positiv"), "positiv", "Did you mean 'positive'?"),
    Case("CP005", put("terms", to={"a": 1}), "a: 1", "must be a list"),
    Case("CP005", put("terms", 3, to="soul"), "soul", "entry 4 of 'terms' must be a mapping"),
    Case("CP005", put("sentences", 5, "id", to="a b"), "a b", "up to 64 letters, digits"),
    Case("CP005", put("sentences", 5, "text", to="Two\nlines."), "'Two", "must be one line"),
    Case("CP005", put("translations", 0, "text", to="Ein zo\u0308qa."), "Ein ", "composed form (NFC)"),
    Case("CP004", drop("translations", 0, "of"), "id: de-s000", "'of'"),
    Case("CP009", put("definition", to="bell \x07"), '"bell', "\\x07"),
    Case("CP010", put("homonyms", 5, "id", to="t0early"), "t0early", "duplicate id 't0early'"),
    Case("CP011", put("homonyms", 0, "sense", to="esence"), "esence", "Did you mean 'essence'?"),
    Case("CP011", put("same_words", 0, "other_sense", to="jazz"), "jazz"),
    Case("CP012", put("sentences", 0, "span", to="xyz"), "xyz", "does not occur in"),
    Case("CP012", put("translations", 0, "span", to="zoqa"), "zoqa", "does not occur in"),
    Case("CP012", replace("translations", 0, "text", "zöqa", "zöqaß"), "zöqa", "only a part of a word"),
    Case("CP012", put("sentences", 0, "span", to="Zoqa"), "Zoqa", "another case"),
    Case("CP012", replace("sentences", 0, "text", "zoqa", "prezoqaism"), "zoqa", "only a part of a word"),
    Case("CP012", replace("sentences", 0, "text", "zoqa", "zoqa and prezoqaism"), "zoqa", "inside another word"),
    Case("CP012", replace("sentences", 0, "text", "zoqa", "zoqa of zoqa"), "zoqa", "occurs 2 times"),
    Case("CP012", replace("same_words", 0, "other", "zoqa", "Zoqa"), "The ", "another case"),
    Case("CP013", copy("paraphrases", 0, 1, "text"), "A x", "another label"),
    Case("CP013", copy("sentences", 0, 1, "text", "span"), "A x", "another label"),
    Case("CP013", copy("translations", 0, 1, "text", "span"), "Ein x", "another label"),
    Case("CP013", lambda d: d["terms"][4].update(near=d["terms"][0]["positive"]), "x", "another label"),
    Case("CP013", lambda d: d["homonyms"][1].update(text=d["same_words"][0]["target"] + "!"), "The ", "another label"),
    Case("CP014", copy("paraphrases", 0, 2, "text", "group"), "A x", "already"),
    Case("CP014", copy("translations", 0, 2, "text"), "Ein x", "already"),
    Case("CP014", lambda d: d["terms"][4].update(far=d["terms"][0]["near"]), "x", "already"),
    Case("CP014", copy("templates", 0, 3, "text"), "The {term}", "already"),
    Case("CP015", put("homonyms", 0, "sense", to="music"), "music", "needs a target sense"),
    Case("CP015", put("same_words", 0, "other_sense", to="essence"), "essence", "needs a homonym or idiom sense"),
    Case("CP015", put("terms", 0, "sense", to="music"), "music", "needs a target sense"),
    Case("CP015", drop("sentences", 0, "sense"), "id: s000", "has a target sense"),
    Case("CP015", put("sentences", 1, "sense", to="music"), "music", "leave it out"),
    Case("CP016", replace("same_words", 0, "other", " zoqa", ' "zoqa"'), "zoqa", "follows a space"),
    Case("CP016", lambda d: d["homonyms"][6].update(span="Zoqa", text="Zoqa of xyzzyq."), "Zoqa", "very same string"),
    Case("CP016", replace("homonyms", 0, "text", " zoqa", " re-zoqa"), "zoqa", "no space before"),
    Case("CP017", put("translations", 0, "of", to="s000x"), "s000x", "Did you mean 's000'?"),
    Case("CP018", put("translations", 0, "lang", to="en"), "en", "sentence 's000' is in en itself"),
    Case("CP018", lambda d: d["sentences"][0].update(lang="de"), "de", "sentence 's000' is in de itself"),
    Case("CP019", put("translations", 2, "of", to="s000"), "s000", "'s000' is translated into de in line"),
    Case("CP020", cut("templates", 11), "templates:", "too few templates: 11, at least 12"),
    Case("CP020", cut("terms", 19), "terms:", "too few units of terms: 19"),
    Case("CP020", cut("sentences", 119), "sentences:", "(label control): 59, at least 60"),
    Case("CP020", cut("translations", 79), "translations:", "(language de, label control): 39, at least 40"),
    Case(
        "CP020", put("translations", 0, "lang", to="fr"), "translations:", "(language fr, label positive): 1, at least"
    ),
    Case("CP020", cut("paraphrases", 79), "paraphrases:", "(label control): 39, at least 40"),
    Case("CP020", cut("same_words", 29), "same_words:", "too few pairs of same words: 29"),
    Case("CP020", drop("same_words"), "schema:", "too few pairs of same words: 0"),
    Case("CP020", cut("homonyms", 79), "homonyms:", "(label other): 39, at least 40"),
    Case("CP020", merge_groups, "sentences:", "too few groups of sentences: 19, at least 20"),
    Case("CP021", unbalance, "paraphrases:", "130 positive to 40 control, over 2:1"),
    Case("CP021", unbalance_a_language, "translations:", "(de): 60 positive to 29 control, over 2:1"),
    Case("CP022", put("paraphrases", 0, "group", to="g00"), "g00", "is in sentences, too"),
    Case("CP023", share_a_word(5), "A x", "5 of 80 homonym contexts hang together (at most 5%): h00target"),
    Case("CP023", chain("other"), "homonyms:", "labelled other form 10 components"),
    Case("CP024", leave_out_controls_of("g03"), "s003", "no control sentence of group 'g03' is translated into de"),
    Case("CP030", name_in("templates", 0, ("terms", 3, "near")), "The {term}", "word of term 'u03'"),
    Case("CP031", replace("templates", 0, "text", "{term}", "it"), "The ", "has no slot"),
    Case("CP031", replace("templates", 0, "text", ".", " {term}."), "The ", "exactly once"),
    Case("CP031", replace("templates", 0, "text", "{term}", "{word}"), "The ", "'{word}'"),
    Case("CP031", replace("templates", 0, "text", "The {term}", "{term}"), "'{term}", "begins with {term}"),
    Case("CP031", replace("templates", 0, "text", "The {term}", "A {term}"), "A {term}", "'a' or 'an'"),
    Case("CP031", replace("templates", 0, "text", "{term}", "{term}s"), "The ", "glued"),
    Case("CP032", put("templates", 0, "position", to="late"), "late", "the slot is at 0.1"),
    Case("CP033", put("terms", 0, "near", to="xab xac"), "xab", "has 2 words"),
    Case("CP033", put("terms", 0, "far", to="xabcdefghijklm"), "xabc", "has 14 characters"),
    Case("CP033", put("terms", 0, "near", to="people"), "people", "zipf"),
    Case("CP034", name_in("paraphrases", 0, ("terms", 3, "positive")), "A x", "names the concept"),
    Case("CP034", name_in("paraphrases", 1, ("terms", 3, "positive")), "A x", "names the concept"),
    Case("CP034", replace("paraphrases", 0, "text", ".", " zoqaless."), "A x", "'zoqaless'"),
    Case("CP034", name_in("sentences", 1, ("terms", 3, "positive")), "A x", "control sentence"),
    Case("CP034", replace("sentences", 1, "text", ".", " zoqas."), "A x", "'zoqas'"),
    Case("CP034", replace("translations", 1, "text", "die ", "l'Zöqa "), "Ein x", "control translation names"),
    Case("CP035", replace("same_words", 2, "target", ".", " xyzzyq."), "id: w02", "only in target: 'xyzzyq'"),
    Case("CP051", lambda d: d.update(senses=d["senses"][:1], same_words=[], homonyms=[]), "senses:", "no homonym"),
    Case("CP054", lambda d: d["senses"].append({"id": "idle", "role": "idiom", "gloss": "x"}), "idle", "never used"),
]


def test_the_valid_files_have_no_problem(document: Document, pool: Document, write: Callable[..., Path]) -> None:
    report = check_files([write(document), write(pool, "pool.yaml")])
    assert [str(p) for p in report.problems] == []
    assert report.ok
    assert report.summary == "0 errors, 0 warnings"
    assert [f.kind for f in report.files] == ["concept", "background"]


@pytest.mark.parametrize("case", CASES, ids=[f"{c.code}-{i}" for i, c in enumerate(CASES)])
def test_each_mistake_is_found_where_it_is(
    case: Case, document: Document, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    case.spoil(document)
    path = write(document)
    found = _without_difficulty(path, monkeypatch)
    assert case.code in {p.code for p in found}, [str(p) for p in found]
    hits = [p for p in found if p.code == case.code and case.says in p.message]
    assert hits, [str(p) for p in found]
    lines = path.read_text().split("\n")
    assert any(lines[p.line - 1][p.column - 1 :].startswith(case.at) for p in hits), [str(p) for p in hits]


def _without_difficulty(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Problem]:
    """All problems but those that are measured: CP050 and CP052 have their own tests."""
    from conceptprobe.stimuli import difficulty

    monkeypatch.setattr(difficulty, "measure", lambda *_: difficulty.Difficulty(0, {}, {}))
    return errors_of(path)


def test_one_mistake_is_one_problem(
    document: Document, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt key is not a missing key as well; a bad entry does not make its section too small."""
    document["templtes"] = document.pop("templates")
    document["sentences"][0]["label"] = "positve"
    document["homonyms"][9]["span"] = 7
    found = _without_difficulty(write(document), monkeypatch)
    assert sorted((p.code, p.message.split(";")[0][:30]) for p in found) == [
        ("CP001", "unknown key 'templtes'. Did yo"),
        ("CP003", "'span': YAML reads 7 as the nu"),
        ("CP005", "'label' must be 'positive' or "),
    ]


def test_all_mistakes_are_reported_at_once_and_in_order(
    document: Document, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = ("CP001", "CP003", "CP010", "CP011", "CP012", "CP017")
    for code in codes:
        next(c for c in CASES if c.code == code).spoil(document)
    found = _without_difficulty(write(document), monkeypatch)
    assert set(codes) <= {p.code for p in found}
    assert found == sorted(found)


def test_duplicate_keys_and_wrong_yaml_are_in_the_same_list(
    document: Document, write: Callable[..., Path], as_yaml: Callable[..., str]
) -> None:
    path = write(
        as_yaml(document).replace("lang: en\n", "lang: en\nlang: de\n").replace("position: early", "position: erly", 1)
    )
    assert [p.code for p in errors_of(path) if p.severity == "error"] == ["CP002", "CP005"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "CP007"),
        (b"a: [", "CP006"),
        (b"a: &b 1", "CP008"),
        (b"\xff\xfe", "CP007"),
        (b"- 1", "CP007"),
    ],
)
def test_a_file_that_is_no_data_is_reported_like_the_others(
    content: bytes, code: str, pool: Document, write: Callable[..., Path]
) -> None:
    report = check_files([write(content), write(pool, "pool.yaml")])
    assert [p.code for p in report.problems] == [code]
    assert [f.kind for f in report.files] == ["unknown", "background"]
    assert not report.ok


def test_near_copies_in_two_groups_would_cross_splits(
    document: Document, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "A xaaq of {} met xbbq and xccq while xddq fed xeeq {}."
    copies = [("s000", "g00", "zoqa", "xffq"), ("s001", "g01", "zoqa", "xggq"), ("s002", "g00", "zoqa", "xhhq")]
    by_id = {e["id"]: e for e in document["sentences"]}
    for id_, group, span, last in copies:
        by_id[id_] |= {"group": group, "span": span, "text": text.format(span, last)}
    found = _without_difficulty(write(document), monkeypatch)
    assert [p.code for p in found] == ["CP022"]
    assert "nearly the text of line" in found[0].message
    assert "in group 'g00'" in found[0].message


def test_frames_that_share_less_are_left_alone(
    document: Document, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    document["sentences"][0]["text"] = "A xaaq of zoqa met xbbq and xccq while xddq fed xeeq xffq."
    document["sentences"][2]["text"] = "A xaaq of zoqa met xbbq and xccq while xddq fed xggq xhhq."
    assert _without_difficulty(write(document), monkeypatch) == []


POOL_CASES = [
    Case("CP020", cut("categories", 15), "categories:", "categories: 15, at least 16"),
    Case("CP020", cut("categories", 15), "categories:", "words: 375, at least 400"),
    Case("CP020", cut("templates", 5), "templates:", "templates: 5, at least 6"),
    Case("CP005", lambda d: d["categories"][0]["words"][0].update(concreteness=6), "6", "at most 5"),
    Case("CP014", lambda d: d["categories"][3]["words"].append(d["categories"][0]["words"][0] | {}), "x", "already"),
    Case("CP037", lambda d: d["categories"][0]["words"][0].update(word="xa xb"), "xa xb", "not a single word"),
    Case("CP037", lambda d: d["categories"][0]["words"][0].update(word="whom"), "whom", "function word"),
    Case("CP038", lambda d: d["categories"][0]["words"][0].update(word="horse"), "0.0", "wordfreq says 4.76"),
    Case(
        "CP030",
        lambda d: d["templates"][0].update(text=f"The {{word}} or {d['categories'][0]['words'][0]['word']} met."),
        "The {word}",
        "word of the pool",
    ),
    Case("CP031", replace("templates", 0, "text", "{word}", "{term}"), "The ", "'{term}'"),
]


class TestPool:
    """The rules of the background pool."""

    @pytest.mark.parametrize("case", POOL_CASES, ids=[f"{c.code}-{i}" for i, c in enumerate(POOL_CASES)])
    def test_each_mistake_is_found_where_it_is(self, case: Case, pool: Document, write: Callable[..., Path]) -> None:
        case.spoil(pool)
        path = write(pool)
        hits = [p for p in errors_of(path) if p.code == case.code and case.says in p.message]
        lines = path.read_text().split("\n")
        assert any(lines[p.line - 1][p.column - 1 :].startswith(case.at) for p in hits), errors_of(path)

    def test_words_of_terms_are_refused_given_or_beside(
        self, document: Document, pool: Document, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        far = document["terms"][2]["far"]
        pool["categories"][1]["words"][4]["word"] = far
        background = write(pool, "background.yaml")
        concept = write(document, "mine.yaml")
        assert errors_of(background) == []
        given = _problems_of_both(background, concept, monkeypatch)
        assert [(p.code, p.file) for p in given] == [("CP036", str(background))]
        assert f"word '{far}' is a word of term 'u02'" in given[0].message
        write(document, "soul.yaml")
        assert [p.code for p in errors_of(background)] == ["CP036"]

    def test_a_misspelt_kind_is_one_problem(self, pool: Document, write: Callable[..., Path]) -> None:
        pool["kind"] = "backgroud"
        assert [p.code for p in errors_of(write(pool))] == ["CP005"]


def _problems_of_both(a: Path, b: Path, monkeypatch: pytest.MonkeyPatch) -> list[Problem]:
    from conceptprobe.stimuli import difficulty

    monkeypatch.setattr(difficulty, "measure", lambda *_: difficulty.Difficulty(0, {}, {}))
    return list(check_files([a, b]).problems)


class TestMedia:
    """Files beside the concept file."""

    @pytest.fixture
    def entry(self, tmp_path: Path) -> dict[str, str]:
        (tmp_path / "pictures").mkdir()
        (tmp_path / "pictures" / "a.png").write_bytes(b"picture")
        return {
            "id": "m1",
            "modality": "image",
            "path": "pictures/a.png",
            "sha256": hashlib.sha256(b"picture").hexdigest(),
            "licence": "CC0-1.0",
            "caption": "A picture.",
            "pair": "mp1",
            "label": "control",
        }

    def codes(
        self, media: list[dict[str, str]], document: Document, write: Callable[..., Path], monkeypatch: Any
    ) -> list[str]:
        document["media"] = media
        problems = _without_difficulty(write(document), monkeypatch)
        return [p.code for p in problems if p.severity == "error"]

    def test_a_file_with_its_hash_is_fine(
        self, entry: dict[str, str], document: Document, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.codes([entry], document, write, monkeypatch) == []

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"sha256": "0" * 64}, "CP041"),
            ({"sha256": "0"}, "CP005"),
            ({"path": "pictures/b.png"}, "CP040"),
            ({"path": "pictures"}, "CP040"),
            ({"path": "../other.png"}, "CP040"),
            ({"path": "pictures/../../other.png"}, "CP040"),
            ({"path": "/etc/hostname"}, "CP040"),
            ({"path": "C:\\x.png"}, "CP040"),
            ({"path": "pictures\\a.png"}, "CP040"),
            ({"path": "pictures/link.png"}, "CP040"),
            ({"path": "loop/a.png"}, "CP040"),
            ({"path": "x" * 900}, "CP040"),
            ({"licence": ""}, "CP042"),
            ({"licence": None}, "CP042"),
            ({"licence": "  "}, "CP042"),
            ({"modality": "video"}, "CP005"),
        ],
    )
    def test_what_is_wrong_with_a_file(
        self,
        change: dict[str, Any],
        code: str,
        entry: dict[str, str],
        document: Document,
        write: Callable[..., Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (tmp_path.parent / "other.png").write_bytes(b"picture")
        (tmp_path / "pictures" / "link.png").symlink_to(tmp_path.parent / "other.png")
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        assert self.codes([entry | change], document, write, monkeypatch) == [code]

    def test_a_missing_licence_has_its_own_code(
        self, entry: dict[str, str], document: Document, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        del entry["licence"]
        assert self.codes([entry], document, write, monkeypatch) == ["CP042"]

    def test_one_picture_with_two_labels_and_a_pair_in_two_groups(
        self, entry: dict[str, str], document: Document, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = entry | {"id": "m2", "label": "positive", "sense": "essence", "group": "mg2"}
        assert sorted(self.codes([entry, other], document, write, monkeypatch)) == ["CP013", "CP022"]

    def test_one_picture_twice(
        self, entry: dict[str, str], document: Document, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.codes([entry, entry | {"id": "m2"}], document, write, monkeypatch) == ["CP014"]


def test_tokens_are_compared_with_a_given_tokenizer(
    document: Document, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from conceptprobe.stimuli import difficulty

    monkeypatch.setattr(difficulty, "measure", lambda *_: difficulty.Difficulty(0, {}, {}))
    path = write(document)
    odd = document["terms"][4]["near"]
    assert check_files([path], count_tokens=len).problems == ()
    found = check_files([path], count_tokens=lambda text: 3 if text == odd else 1).problems
    assert [(p.code, p.message) for p in found] == [
        ("CP053", f"near '{odd}' has 3 tokens, '{document['terms'][4]['positive']}' has 1")
    ]
    many = check_files([path], count_tokens=lambda text: 2 if text in {t["far"] for t in document["terms"]} else 1)
    assert ["far controls differ" in p.message for p in many.problems] == [True]


TESTED_ELSEWHERE = {"CP002", "CP006", "CP007", "CP008", "CP050", "CP052", "CP053"}
TESTED_ELSEWHERE |= {"CP040", "CP041", "CP042", "CP043", "CP055", "CP056"}  # media: here, and in test_media.py


def test_every_code_has_a_test() -> None:
    here = {c.code for c in CASES} | {c.code for c in POOL_CASES} | {"CP036"}
    assert here | TESTED_ELSEWHERE == set(CODES)


def test_an_error_lists_every_problem_and_counts_them() -> None:
    problems = [Problem("f.yaml", 9, 1, "CP051", "no homonym"), Problem("f.yaml", 2, 5, "CP001", "unknown key")]
    error = ConceptFileError(problems)
    assert str(error) == (
        "f.yaml:2:5: CP001 unknown key\nf.yaml:9:1: CP051 no homonym\n1 error, 1 warning. Nothing was run."
    )
    assert error.exit_code == 2
