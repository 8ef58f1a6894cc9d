"""The plan: what it reads, and that its hash follows what decides the findings and nothing else."""

from __future__ import annotations

import hashlib
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from conceptprobe.activations import Store
from conceptprobe.errors import UsageError
from conceptprobe.evidence.needs import NEEDS, needs_of
from conceptprobe.pipeline.config import RunConfig
from conceptprobe.pipeline.plan import make_plan
from conceptprobe.pipeline.power import detectable
from models.tiny_models import save_model

CONCEPTS = Path(__file__).parents[2] / "concepts"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(save_model(tmp_path_factory.mktemp("tiny"), "bert", max_position_embeddings=256))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONCEPTPROBE_CACHE", str(tmp_path / "cache"))


def plan(tiny, **about):
    return make_plan(RunConfig(concept="soul", models=(tiny, "words:cooccurrence"), **about))


def test_the_hash_follows_what_decides_and_nothing_else(tiny, tmp_path):
    base = plan(tiny).plan_hash
    assert plan(tiny, results=tmp_path).plan_hash == base
    assert plan(tiny, seed=1).plan_hash != base
    assert plan(tiny, twins=2).plan_hash != base
    assert plan(tiny, permutations=1999).plan_hash != base
    assert plan(tiny, questions=("encoded",)).plan_hash != base
    assert make_plan(RunConfig(concept="self", models=(tiny, "words:cooccurrence"))).plan_hash != base
    assert make_plan(RunConfig(concept="soul", models=(tiny,))).plan_hash != base


@pytest.mark.parametrize(
    "about", [{"dtype": "bfloat16"}, {"quantize": "8bit"}, {"chat": True}, {"prefix": "query: "}, {"truncate": "left"}]
)
def test_the_hash_follows_options_that_change_numbers(tiny, about):
    base, changed = (plan(tiny, questions=("encoded",), **more) for more in ({}, about))
    assert changed.plan_hash != base.plan_hash
    hashes = {s.info.name: (s.info.sha256, s.info.kind) for s in base.specs}
    same = {s.info.name for s in changed.specs if hashes[s.info.name][0] == s.info.sha256}
    assert same == {name for name in hashes if "words:" in name}  # word vectors have no dtype and read no prefix
    assert {s.info.name for s in base.specs} == {s.info.name for s in changed.specs}
    assert all(s.options == changed.config.options for s in changed.specs if hasattr(s, "options"))


def test_the_hash_does_not_follow_where_and_by_which_kernel(tiny, tmp_path):
    base = plan(tiny, questions=("encoded",)).plan_hash
    for about in (
        {"device": "cpu"},
        {"device_map": "auto"},
        {"attn": "eager"},
        {"cache_dir": tmp_path},
        {"offline": True},
    ):
        made = plan(tiny, questions=("encoded",), **about)
        assert made.plan_hash == base, about
        assert [s.options for s in made.specs if hasattr(s, "options")] == [made.config.options] * 4


def test_a_model_of_pictures_takes_no_notice_of_options_of_text(tiny, vit_folder):
    def hashes(**about):
        made = make_plan(RunConfig(concept="soul", models=(tiny, str(vit_folder)), questions=("encoded",), **about))
        return {s.info.name: s.info.sha256 for s in made.specs}

    base, prefixed, halved = hashes(), hashes(prefix="query: ", truncate="left"), hashes(dtype="bfloat16")
    for name, sha256 in base.items():
        assert (prefixed[name] == sha256) == (str(vit_folder) in name)
        assert halved[name] != sha256


def test_nothing_is_cached_before_a_run_and_nothing_is_written(tiny, tmp_path):
    made = plan(tiny)
    store = Store()
    assert all(cell.missing(store) == cell.entries > 0 for cell in made.cells)
    assert not (tmp_path / "cache" / "activations").exists()


def test_every_model_provides_what_its_questions_read(tiny):
    made = plan(tiny)
    for subject in (m.subject() for m in made.models):
        cells = [c for c in made.cells if c.spec.info.name == subject.name]
        texts = {n for n, s in made.sets.items() if s.stimuli[0].modality == "text"}
        # what is heard in the clips is for people: there is no background of sounds to carry anything over
        assert {c.stimuli.name for c in cells} == texts - {"sound_captions"}
    twins = [c for c in made.cells if c.spec.info.name.startswith("random:words")]
    assert {c.stimuli.name for c in twins} == {"background", "terms_in_pool", "captions", "background_captions"}
    tokens = [c for c in made.cells if c.sites == ("tokens",)]
    assert {c.spec.info.kind for c in tokens} == {"trained"}


def test_a_question_that_is_not_asked_is_not_extracted_for(tiny):
    made = plan(tiny, questions=("encoded",))
    assert {c.stimuli.name for c in made.cells} == {"terms"}
    assert needs_of("trained", "text", ("shared",), ("background",)) == [
        n for n in NEEDS if n.set_name == "background" and n.kind == "trained"
    ]


def test_pooled_output_is_never_a_probe_site(tiny):
    assert all("pooled" not in c.sites for c in plan(tiny).cells)


def test_power_is_told_for_every_headline_or_why_not(tiny):
    rows = list(detectable(plan(tiny)))
    assert [r.question for r in rows] == ["encoded", "beyond_words", "shared", "crossmodal"]
    assert all(r.units >= 20 for r in rows)
    for r in rows[:2]:
        assert r.simulated
        assert not r.not_simulated
        assert r.rows == 1
        assert 0 < r.detectable < r.detectable_if_wide < 0.5
        assert r.units_for_twice is None or r.units_for_twice > 10
        assert r.units_for_absent > r.units
        shares = [share for _, share in r.curve]
        assert shares[0] <= 0.05
        assert shares[-1] > 0.9
    for r in rows[2:]:
        assert r.not_simulated
        assert not r.simulated
        assert r.detectable != r.detectable


def test_all_headline_rows_of_a_question_share_its_correction(tiny, vit_folder):
    made = make_plan(RunConfig(concept="soul", models=(tiny, str(vit_folder)), twins=2))
    by_row = {(r.question, r.row.split(",")[0]): r for r in detectable(made)}
    assert by_row["encoded", "terms x templates"].rows == by_row["encoded", "pictures"].rows == 2
    assert by_row["beyond_words", "same words"].rows == 1
    carried = by_row["crossmodal", "captions to pictures"]
    assert carried.rows == 1
    assert "2 random twins" in carried.simulated
    assert carried.detectable > by_row["encoded", "pictures"].detectable - 0.1
    assert carried.units == by_row["encoded", "pictures"].units


def test_a_picture_that_cannot_be_shown_is_named_and_the_plan_goes_on(tiny, tmp_path):
    folder = shutil.copytree(CONCEPTS, tmp_path / "concepts")
    broken = folder / "media" / "1f47b.png"
    before = hashlib.sha256(broken.read_bytes()).hexdigest()
    broken.write_bytes(broken.read_bytes()[:200])
    text = (folder / "soul.yaml").read_text()
    (folder / "soul.yaml").write_text(text.replace(before, hashlib.sha256(broken.read_bytes()).hexdigest()))
    made = make_plan(RunConfig(concept=str(folder / "soul.yaml"), models=(tiny,)))
    (line,) = made.left_out
    assert line.startswith("picture 'media/1f47b.png' of entry 'pic-ghost'")
    assert line.endswith("it is left out, with its pair")
    assert len(made.sets["pictures"]) == len(made.sets["captions"]) == len(plan(tiny).sets["pictures"]) - 2


def test_tables_of_human_judgements_decide_and_where_they_lie_does_not(tiny, tmp_path):
    base = plan(tiny)
    words = list(dict.fromkeys(s.group("word") for s in base.sets["background"]))
    lines = [f"{a} {b} {i}\n" for i, (a, b) in enumerate(pairwise(words[:31]))]

    def with_tables(folder, **tables):
        (tmp_path / folder).mkdir()
        for name, content in tables.items():
            (tmp_path / folder / f"{name}.txt").write_text("".join(content))
        return plan(tiny, human=tmp_path / folder)

    one = with_tables("one", known=lines, short=lines[:5])
    again = with_tables("again", known=[line.replace(" ", "\t").upper() for line in lines], short=lines[:5])
    assert [t.name for t in one.judgements] == ["known", "short"]
    assert [(a.table, len(a.scores), bool(a.reason)) for a in one.anchors] == [("known", 30, False), ("short", 5, True)]
    assert one.left_out[len(base.left_out) :] == (
        "short: 5 of 5 pairs have both words in the pool; left out: fewer than 20",
    )
    assert base.plan_hash != one.plan_hash == again.plan_hash
    assert with_tables("other", known=lines[1:], short=lines[:5]).plan_hash != one.plan_hash
    assert with_tables("renamed", known2=lines, short=lines[:5]).plan_hash != one.plan_hash
    assert (base.judgements, base.anchors) == ((), ())
    assert one.cells == base.cells


def test_judgements_that_nobody_reads_are_refused(tiny, tmp_path):
    with pytest.raises(UsageError, match="read by the question shared, which is not asked"):
        plan(tiny, questions=("encoded",), human=tmp_path)


def test_word_vectors_that_draw_control_concepts_are_read_without_being_a_model_of_the_run(tiny):
    alone = make_plan(RunConfig(concept="soul", models=(tiny,)))
    ruler = [c for c in alone.cells if c.spec.info.name == "words:cooccurrence"]
    assert {c.stimuli.name: c.sites for c in ruler if c.sites != ("embed",)}.keys() >= {"background", "terms_in_pool"}
    assert {c.sites for c in ruler if c.stimuli.name == "background"} == {("embed",), ("proxies",)}
    assert [m.spec.info.name for m in alone.models] == [tiny]
    assert alone.plan_hash != make_plan(RunConfig(concept="soul", models=(tiny,), questions=("encoded",))).plan_hash
    assert plan(tiny).ruler is None
    assert make_plan(RunConfig(concept="soul", models=(tiny,), questions=("encoded",))).ruler is None
