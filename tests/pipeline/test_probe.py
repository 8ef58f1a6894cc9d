"""The instrument on arrays: planted truth, and the very numbers of question 1 on the same folds."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from conceptprobe import registry
from conceptprobe.errors import UsageError
from conceptprobe.evidence.context import RunContext, Settings, Subject
from conceptprobe.evidence.designs import design_of, term_set
from conceptprobe.files import write_text
from conceptprobe.models.base import ModelInfo
from conceptprobe.pipeline.blocks import blocks_of, design_of_blocks
from conceptprobe.pipeline.probe import measure, probe
from conceptprobe.pipeline.probe_config import DETAIL_DRAWS, ProbeConfig, probe_kinds
from conceptprobe.pipeline.probe_files import as_dict, write_probe
from conceptprobe.probes.crossfit import CrossFit, Space
from conceptprobe.report.tables import read_findings
from conceptprobe.stats.relabel import exchanged_labels
from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet

PAIRS, TEMPLATES, D = 14, 6, 10


def planted(rng, strength=(0.0, 2.0), pairs=PAIRS, templates=TEMPLATES):
    """Rows of matched terms in templates, and one array [n sites d] that holds the concept along one direction."""
    rows = [(y, f"w{p}.{y}", f"t{t}", f"p{p}") for p in range(pairs) for y in (1, 0) for t in range(templates)]
    direction = rng.standard_normal(D)
    direction /= np.linalg.norm(direction)
    words = {r[1]: rng.standard_normal((len(strength), D)) for r in rows}
    frames = {r[2]: rng.standard_normal((len(strength), D)) for r in rows}
    x = np.array([words[r[1]] + frames[r[2]] + 0.3 * rng.standard_normal((len(strength), D)) for r in rows])
    for i, r in enumerate(rows):
        x[i] += np.outer(strength, direction) * (2 * r[0] - 1)
    return rows, x, direction


def on_disk(folder: Path, rows, x, head=("label", "term", "template", "pair")) -> ProbeConfig:
    np.save(folder / "acts.npy", x)
    with (folder / "y.csv").open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return ProbeConfig(folder / "acts.npy", folder / "y.csv", groups=("template", "term"), permutations=199)


def test_a_planted_direction_is_found_where_it_is(tmp_path, rng):
    rows, x, direction = planted(rng)
    probed, blocks, _ = probe(on_disk(tmp_path, rows, x))
    (row,) = probed.findings
    assert (row.verdict, row.site_a, row.headline) == ("supported", "acts.1", True)
    assert row.p < 0.05
    assert row.q == row.p
    assert row.ci_low <= row.effect <= row.ci_high
    assert row.effect == row.estimate - row.reference
    assert row.units == PAIRS
    assert blocks.crossed == "template"
    unit = probed.directions["ridge"]
    assert np.linalg.norm(unit) == pytest.approx(1.0)
    assert unit @ direction > 0.7
    assert [record["site"] for record in probed.curve] == ["acts.0", "acts.1"]
    assert probed.curve[1]["auroc"] > 0.9 > probed.curve[0]["auroc"]


def test_swapping_the_concept_turns_the_direction_and_leaves_the_number(tmp_path, rng):
    rows, x, _ = planted(rng)
    config = on_disk(tmp_path, rows, x)
    a, _, _ = probe(config)
    b, _, table = probe(ProbeConfig(**{**vars(config), "positive": "0"}))
    assert table.meaning == ("0", "1")
    assert b.findings[0].estimate == pytest.approx(a.findings[0].estimate, abs=0.05)
    np.testing.assert_allclose(b.directions["ridge"], -a.directions["ridge"], atol=1e-10)


def test_noise_is_rarely_supported_and_its_p_is_a_p(tmp_path):
    p, verdicts = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rows, x, _ = planted(rng, strength=(0.0, 0.0), pairs=12, templates=3)
        config = on_disk(tmp_path, rows, x)
        (row,) = probe(ProbeConfig(**{**vars(config), "seed": seed, "permutations": 99}))[0].findings
        p.append(row.p)
        verdicts.append(row.verdict)
    assert sum(v == "supported" for v in verdicts) <= 5
    assert np.mean(np.array(p) <= 0.05) <= 0.15
    assert 0.3 < np.mean(p) < 0.7


def test_the_numbers_are_those_of_question_1_on_the_same_folds(rng):
    """The arrays of a run's terms, blocked by their columns, give question 1's design, AUROC, interval and p."""
    rows, x, _ = planted(rng, strength=(0.0, 0.6))
    stimuli = StimulusSet(
        "terms",
        tuple(
            Stimulus(
                f"c/{i}", "c", "", "positive" if y else "control", "text", f"{template} {term}",
                groups=(("unit", pair), ("term", term), ("template", template), ("tier", "positive" if y else "near")),
                pair=pair, span=(len(template) + 1, len(template) + 1 + len(term)),
            )
            for i, (y, term, template, pair) in enumerate(rows)
        ),
    )  # fmt: skip
    info = ModelInfo("m", "planted", "", "m", "planted", ("text",), 2, D, 0, "float32", (), "trained")
    sites = ("embed", "resid_post.0")
    run = RunContext(
        run_id="r",
        concept="c",
        smallest_effect={"encoded": 0.1},
        splits=(5, 3),
        sets={"terms": stimuli},
        subjects=(Subject(info, sites),),
        read=lambda model, name, site, pooling: x[:, sites.index(site)].astype(np.float32),
        settings=Settings(permutations=999, details=False),
    )
    (asked,) = [f for f in registry.get("question", "encoded")(run).findings if f.headline]

    label = np.where(np.array(stimuli.labels) > 0, 1, -1)
    columns = {name: [s.group(name) for s in stimuli] for name in ("template", "term")}
    blocks = blocks_of(label, columns, pair={"pair": [s.pair for s in stimuli]})
    design = design_of_blocks(label, blocks, run.rng("folds", "terms-near"))
    theirs = design_of(run, term_set(run, "near"))
    for name in ("item", "template_fold", "label", "unit", "fold"):
        np.testing.assert_array_equal(getattr(design, name), getattr(theirs, name))
    assert design.pooled == theirs.pooled
    labels = np.vstack([design.label, exchanged_labels(design, run.draws(), run.rng("exchange", "terms-near"))])
    config = ProbeConfig(Path("x.npy"), Path("y.csv"))
    spaces = {site: x[:, i].astype(np.float32) for i, site in enumerate(sites)}
    (row,) = measure(spaces, design, labels, config, "split").findings
    for name in ("estimate", "effect", "ci_low", "ci_high", "null_mean", "null_q95", "p", "q", "verdict", "n", "units"):
        assert getattr(row, name) == getattr(asked, name), name
    assert row.site_a == asked.site_a


def test_one_space_gives_the_auroc_of_a_loop_with_scikit_learn(tmp_path, rng):
    rows, x, _ = planted(rng, strength=(0.5,))
    probed, _, _ = probe(on_disk(tmp_path, rows, x[:, 0]))
    d = probed.design
    scores = np.zeros(d.n_items)
    for cell in d.cells:
        train, test = d.train_rows(cell), d.test_rows(cell)
        mean, spread = x[train, 0].mean(axis=0), x[train, 0].std(axis=0)
        z, y = (x[:, 0] - mean) / spread, d.label[d.item]
        read = Ridge(alpha=float(np.sum(z[train] ** 2)) / train.sum()).fit(z[train], y[train]).predict(z[test])
        np.add.at(scores, d.item[test], read - read.mean())
    folds = [d.fold == f for f in range(5)]
    pairs = [(d.label[f] > 0).sum() * (d.label[f] < 0).sum() for f in folds]
    by_hand = np.average([roc_auc_score(d.label[f] > 0, scores[f]) for f in folds], weights=pairs)
    assert probed.findings[0].estimate == pytest.approx(by_hand, abs=1e-12)


def test_other_kinds_are_read_where_ridge_reads_and_only_the_first_has_a_verdict(tmp_path, rng):
    rows, x, _ = planted(rng)
    config = on_disk(tmp_path, rows, x)
    config = ProbeConfig(**{**vars(config), "kinds": ("logistic", "ridge", "logistic")})
    probed, _, _ = probe(config)
    logistic, ridge = probed.findings
    assert (logistic.metric, ridge.metric) == ("auroc (logistic)", "auroc (ridge)")
    assert logistic.site_a == ridge.site_a == "acts.1"
    assert (logistic.verdict, ridge.verdict) == ("supported", "detail")
    turned, _, _ = probe(ProbeConfig(**{**vars(config), "kinds": ("ridge", "logistic")}))
    assert turned.findings[0].estimate == ridge.estimate
    assert turned.findings[1].p >= 1 / (1 + DETAIL_DRAWS)
    assert turned.findings[1].estimate == logistic.estimate
    assert f"{DETAIL_DRAWS} draws" in turned.findings[1].note
    assert set(probed.directions) == {"logistic", "ridge"}


def test_all_kinds_are_those_for_rows_of_vectors():
    kinds = probe_kinds(("all",))
    assert kinds[0] == "ridge"
    entries = registry.entries("probe")
    assert set(kinds) == {name for name, entry in entries.items() if not entry.about.get("positions")}
    assert probe_kinds(("logistic", "all"))[0] == "logistic"
    with pytest.raises(UsageError, match="Did you mean 'logistic'"):
        probe_kinds(("logistc",))


def test_what_units_alone_give_away_is_the_reference(tmp_path, rng):
    """Documents differ in their share of the concept and in topic; inside a document nothing tells the rows apart."""
    rows, x = [], []
    for unit in range(24):
        topic, share = (1.0, 0.8) if unit % 2 else (-1.0, 0.2)
        for i in range(10):
            rows.append((int(i < 10 * share), f"d{unit}"))
            x.append(topic + 0.3 * rng.standard_normal(D))
    config = on_disk(tmp_path, rows, np.array(x), head=("label", "document"))
    probed, _, _ = probe(ProbeConfig(**{**vars(config), "groups": ("document",)}))
    (row,) = probed.findings
    assert row.estimate > 0.7
    assert row.reference == row.null_mean > 0.7
    assert row.ci_low <= row.effect <= row.ci_high
    assert abs(row.effect) < 0.1
    assert row.verdict != "supported"


def test_constant_features_change_nothing_and_are_told(tmp_path, rng):
    rows, x, _ = planted(rng)
    plain, _, _ = probe(on_disk(tmp_path, rows, x))
    more = np.concatenate([x, np.full((*x.shape[:2], 3), 7.0)], axis=2)
    with_constants, _, _ = probe(on_disk(tmp_path, rows, more))
    assert with_constants.findings[0].estimate == plain.findings[0].estimate
    assert any("3 of 13 at acts.0, 3 of 13 at acts.1" in w for w in with_constants.warnings)
    more[:, 0] = 7.0
    silent, _, _ = probe(on_disk(tmp_path, rows, more))
    assert [record["site"] for record in silent.curve] == ["acts.1"]
    assert any("All rows are the same at acts.0" in w for w in silent.warnings)
    with pytest.raises(UsageError, match="every feature is constant"):
        probe(on_disk(tmp_path, rows, np.ones_like(x)))


def test_wide_arrays_and_few_draws_are_told(tmp_path, rng):
    rows, x, _ = planted(rng)
    wide = np.concatenate([x[:, 1], rng.standard_normal((len(x), 40))], axis=1)
    probed, _, _ = probe(on_disk(tmp_path, rows, wide))
    assert any("50 features for 28 items" in w for w in probed.warnings)
    assert any("199 draws" in w for w in probed.warnings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"permutations": 19}, "the smallest p would be 0.050"),
        ({"smallest_effect": 0.5}, "at most 0.5 above chance"),
        ({"seed": -1}, "negative"),
        ({"kinds": ("rigde",)}, "Did you mean 'ridge'"),
        ({"groups": ("templat",)}, "Did you mean 'template'"),
        ({"crossed": "pair"}, "not among the groups"),
    ],
)
def test_settings_out_of_range_are_met_with_a_message(tmp_path, rng, change, words):
    rows, x, _ = planted(rng)
    with pytest.raises(UsageError, match=words):
        probe(ProbeConfig(**{**vars(on_disk(tmp_path, rows, x)), **change}))


def test_lengths_that_do_not_match_are_explained(tmp_path, rng):
    rows, x, _ = planted(rng)
    config = on_disk(tmp_path, rows[:-1], x)
    with pytest.raises(UsageError, match=r"168 rows, .*y\.csv has 167"):
        probe(config)
    on_disk(tmp_path, rows, x.swapaxes(0, 1))
    with pytest.raises(UsageError) as raised:
        probe(config)
    assert "swapped" in raised.value.hint
    on_disk(tmp_path, rows, x[:, 0].T)
    with pytest.raises(UsageError) as raised:
        probe(config)
    assert "transpose" in raised.value.hint


def test_the_same_seed_writes_the_same_files(tmp_path, rng):
    rows, x, direction = planted(rng)
    config = on_disk(tmp_path, rows, x)
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        probed, blocks, table = probe(config)
        paths = write_probe(folder, config, probed, blocks, table)
        assert all(path.is_file() for path in paths)
    names = {path.name for path in folders[0].iterdir()}
    figures = {f"{f}.{e}" for f in ("null_plot", "depth_curve") for e in ("pdf", "svg", "png", "csv")}
    assert names == figures | {"findings.csv", "findings.parquet", "direction.safetensors", "probe.json"}
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
    assert read_findings(folders[0] / "findings.csv")[0].verdict == "supported"
    with safe_open(folders[0] / "direction.safetensors", framework="np") as file:
        assert json.loads(file.metadata()["conceptprobe"])["site"] == "acts.1"
        assert file.get_tensor("ridge") @ direction > 0.7
    record = json.loads((folders[0] / "probe.json").read_text())
    assert record["findings"][0]["estimate"] == probed.findings[0].estimate
    assert record["design"]["crossed"] == "template"
    assert record["units"] == {"concept": PAIRS, "control": PAIRS}
    assert as_dict(config, probed, blocks, table)["design"] == record["design"]


def test_a_folder_that_cannot_be_written_is_a_message(tmp_path, rng):
    rows, x, _ = planted(rng)
    config = on_disk(tmp_path, rows, x)
    write_text(tmp_path / "out", "in the way")
    with pytest.raises(UsageError, match="cannot write"):
        write_probe(tmp_path / "out", config, *probe(config))


def test_a_site_chosen_for_each_draw_is_the_crossfit_of_all(tmp_path, rng):
    """The headline is CrossFit's own selection, not the best site of the curve."""
    rows, x, _ = planted(rng, strength=(0.3, 0.3, 0.3))
    config = on_disk(tmp_path, rows, x)
    probed, _, _ = probe(config)
    d = probed.design
    cross = CrossFit(d, d.label[None])
    for i in range(3):
        cross.add(f"acts.{i}", Space(x[:, i]))
    assert probed.findings[0].estimate == cross.select([f"acts.{i}" for i in range(3)]).auroc[0]
