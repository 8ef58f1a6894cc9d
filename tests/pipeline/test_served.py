"""A served model in a plan, and texts that were cut, as a run tells of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conceptprobe.activations import Store, extract, texts_cut
from conceptprobe.models import resolve
from conceptprobe.models.options import Options
from conceptprobe.pipeline import run as pipeline
from conceptprobe.pipeline.config import RunConfig
from conceptprobe.pipeline.plan import Cell, make_plan
from conceptprobe.stimuli.stimulus import StimulusSet
from models.embeddings_server import serving
from models.tiny_models import save_model, stimuli


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONCEPTPROBE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CONCEPTPROBE_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_a_plan_counts_the_texts_it_would_send_and_sends_none(tmp_path):
    with serving() as here:
        name = f"api:{here.url}#m"
        plan = make_plan(RunConfig(concept="soul", models=(name, "words:cooccurrence"), questions=("beyond_words",)))
        store = Store(tmp_path)
        cells = [cell for cell in plan.cells if cell.spec.info.name == name]
        assert {cell.sites for cell in cells} == {("pooled",)}
        assert here.asked == []
        everything = sum(len({s.content for s in plan.sets[n]}) for n in {c.stimuli.name for c in cells})
        assert plan.to_send(store) == {name: everything}
        smallest = min(cells, key=lambda c: len(c.stimuli))
        extract(smallest.spec, smallest.stimuli, smallest.sites, smallest.poolings, store=store)
        sent = len(here.texts)
        assert plan.to_send(store) == {name: everything - sent}
        for cell in cells:
            extract(cell.spec, cell.stimuli, cell.sites, cell.poolings, store=store)
        assert plan.to_send(store) == {name: 0}
        assert len(here.texts) == everything


def test_a_served_model_is_planned_without_twins_and_read_at_its_only_site():
    plan = make_plan(
        RunConfig(concept="soul", models=("api:https://a.example/v1#m", "words:cooccurrence"), questions=("shared",))
    )
    served, words = plan.models
    assert served.twins == ()
    assert words.twins
    subject = served.subject()
    assert subject.sites == ("pooled",)
    assert not subject.token_table


def test_how_many_texts_were_cut_is_kept_and_told(tmp_path):
    folder = save_model(tmp_path / "tiny", "bert")
    spec = resolve(str(folder), options=Options(truncate="right"))
    spec = replace(spec, max_seq_length=16)
    items, store = StimulusSet("terms", tuple(stimuli(12))), Store(tmp_path / "store")
    cell = Cell(spec, items, ("embed",), ("mean",))
    made = extract(spec, items, cell.sites, cell.poolings, store=store)["mean"]["embed"]
    model = spec.load()
    lengths = [len(model.tokenizer(s.content)["input_ids"]) for s in items]
    longer = sum(n > 16 for n in lengths)
    assert 0 < longer < 12
    for _ in range(2):  # as it is computed, and as it is read from the cache
        assert texts_cut(spec, items, "embed", "mean", store=store) == longer
        (line,) = pipeline._cut_lines(spec, [cell], store, {})
        assert f"read {longer} of 12 terms cut at the right" in line
        extract(spec, items, cell.sites, cell.poolings, store=store)
    assert not list(pipeline._cut_lines(spec, [cell], store, {"terms": "unread"}))
    # A text that fits is what it is without cutting.
    whole = extract(resolve(str(folder)), items, ["embed"], ["mean"])["mean"]["embed"]
    fits = [n <= 16 for n in lengths]
    assert abs(made[fits] - whole[fits]).max() < 1e-5
    assert abs(made[[not f for f in fits]] - whole[[not f for f in fits]]).max() > 1e-3


@pytest.mark.parametrize(("stated", "taken"), [(10, 10), (500, 64), (None, 64)])
def test_a_sentence_encoder_takes_what_its_folder_states(tmp_path, stated, taken):
    folder = save_model(tmp_path / "tiny", "bert")
    if stated:
        (folder / "sentence_bert_config.json").write_text(f'{{"max_seq_length": {stated}}}')
    assert resolve(str(folder)).load()._limits.max_tokens == taken
