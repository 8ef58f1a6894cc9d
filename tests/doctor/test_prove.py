"""The proof of a model: right ones pass, and every way of being wrong fails the check that is named for it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from conceptprobe.doctor import checks_text
from conceptprobe.doctor.proof import QUESTIONS, Proof
from conceptprobe.doctor.prove import prove, prove_all
from conceptprobe.errors import UsageError
from conceptprobe.models import resolve, text
from conceptprobe.models.families.text import FAMILIES
from conceptprobe.models.image_folder import ImageSpec
from conceptprobe.models.options import Options
from conceptprobe.models.text_folder import TextSpec
from conceptprobe.stimuli.stimulus import Stimulus
from models.tiny_images import save_image_model, save_joint_model
from models.tiny_models import save_model, stimuli

TOKENIZERS = {"gpt2": "bytes", "roberta": "encoder", "bert": "encoder", "mamba": "encoder"}
Folder = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    root = tmp_path_factory.mktemp("proved")

    def saved(name: str) -> Path:
        path = root / name
        if not path.exists():
            path.mkdir()
            if name in TOKENIZERS:
                save_model(path, name, tokenizer=TOKENIZERS[name], num_hidden_layers=2, n_layer=2)
            else:
                {"vit": save_image_model, "clip": save_joint_model}[name](path, name)
        return path

    return saved


def failed(proof: Proof) -> list[str]:
    return [check.name for check in proof.checks if check.passed is False]


def proved(folder: Path, **options: Any) -> Proof:
    (proof,) = prove_all(resolve(str(folder), options=Options(**options)))
    return proof


def breaking(monkeypatch: pytest.MonkeyPatch, kind: Any, damage: Callable[[Any], None]) -> None:
    """Every model that a spec of this kind loads is damaged on the way; the reference is not."""
    load = kind.load

    def broken(spec: Any) -> Any:
        model = load(spec)
        damage(model)
        return model

    monkeypatch.setattr(kind, "load", broken)


@pytest.mark.parametrize("name", ["gpt2", "bert", "mamba", "vit"])
def test_a_right_model_is_safe(name: str, folder: Folder) -> None:
    proof = proved(folder(name))
    assert proof.safe, proof.reason
    assert proof.reason == ""
    made = {check.name for check in proof.checks}
    batches = {"batching"} if name in ("mamba", "vit") else {"padding_right", "padding_left"}
    assert batches | {"blocks", "sites", "finite", "hidden_states", "branches", "reading", "eager_float64"} <= made
    assert [check.name for check in proof.checks] == [q for q in QUESTIONS if q in made]
    for check in proof.checks:
        if check.passed and check.error is not None and check.limit is not None:
            assert check.error <= check.limit < 1e-2, check
    assert {site.site for site in proof.sites} >= {"embed", "resid_post.0", "final"}
    assert all(site.eager is not None and site.eager < 1e-5 for site in proof.sites)
    record = json.loads(json.dumps(proof.record()))
    assert record["safe"]
    assert len(record["sites"]) == len(proof.sites)


def test_where_eager_attention_is_wrong_it_is_no_reference(tmp_path: Path) -> None:
    """transformers' eager Falcon adds ALiBi twice: neither a user nor the proof may go by it."""
    save_model(tmp_path, "falcon", tokenizer="bos", alibi=True, num_hidden_layers=2)
    proof = proved(tmp_path)
    assert proof.safe, proof.reason
    assert "eager attention is wrong" in next(check.note for check in proof.checks if check.name == "fused")
    with pytest.raises(UsageError, match="eager attention is wrong"):
        resolve(str(tmp_path), options=Options(attention="eager")).load()


def test_one_moment_of_a_training_is_proved() -> None:
    """Its weights lie in one folder, its configuration and tokenizer in another."""
    (proof,) = prove_all(resolve("pocket-lm-series@step-64"), stimuli(3))
    assert proof.safe, proof.reason


def test_each_tower_is_proved(folder: Folder) -> None:
    proofs = prove_all(resolve(str(folder("clip"))))
    assert [(proof.modality, proof.safe) for proof in proofs] == [("text", True), ("image", True)]
    assert all("pooled" in {site.site for site in proof.sites} for proof in proofs)


def test_ones_own_stimuli_are_shown(folder: Folder) -> None:
    items = [Stimulus(f"s{i}", "", "", "positive", "text", t) for i, t in enumerate(("a b", "her soul", "of a river"))]
    proof = prove(resolve(str(folder("gpt2"))), items)
    shown, terms = proof.check("shown"), proof.check("terms")
    assert shown is not None
    assert shown.note == "3 of 3"
    assert terms is not None
    assert terms.note == "no text has a span"


def test_positions_that_are_dropped_fail_padding_on_the_left(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "gpt2", dataclasses.replace(FAMILIES["gpt2"], positions=False))
    assert failed(proved(folder("gpt2"))) == ["padding_left"]


@pytest.mark.parametrize(("column", "path"), [("mlp", "ln_2"), ("attn", "mlp")])
def test_a_branch_of_another_path_fails_branches(
    column: str, path: str, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: Any = {column: path}
    row = dataclasses.replace(FAMILIES["gpt2"], **named)
    monkeypatch.setitem(FAMILIES, "gpt2", row)
    assert failed(proved(folder("gpt2"))) == ["branches"]


def test_a_post_norm_branch_before_its_dense_layer_fails_branches(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAMILIES, "bert", dataclasses.replace(FAMILIES["bert"], attn="attention.self"))
    assert failed(proved(folder("bert"))) == ["branches"]


def test_blocks_that_are_not_there_fail_loading(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "gpt2", dataclasses.replace(FAMILIES["gpt2"], blocks="layers"))
    proof = proved(folder("gpt2"))
    assert failed(proof) == ["loads"]
    assert "0 blocks at 'layers'" in proof.reason


def test_a_stream_read_behind_the_norm_fails_reading(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def damage(model: Any) -> None:
        model.reader.blocks = [*model.reader.blocks[:-1], model.net.ln_f]

    breaking(monkeypatch, TextSpec, damage)
    proof = proved(folder("gpt2"))
    assert failed(proof) == ["reading", "fused_float64"]
    assert "resid_post.1" in proof.reason


def test_a_stream_that_is_no_stream_disagrees_with_the_library(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference follows the row into the mistake; transformers' own hidden_states do not."""
    monkeypatch.setitem(FAMILIES, "gpt2", dataclasses.replace(FAMILIES["gpt2"], behind_first="h.0.mlp"))
    assert "hidden_states" in failed(proved(folder("gpt2")))


def test_another_first_position_fails_reading(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    breaking(monkeypatch, TextSpec, lambda model: setattr(model, "_first_position", 0))
    assert "reading" in failed(proved(folder("roberta")))


def test_a_padding_id_that_is_not_the_tokenizers_is_told(folder: Folder, tmp_path: Path) -> None:
    """Both sides would count positions from it, so no comparison of numbers can find this."""
    whole = json.loads((folder("roberta") / "config.json").read_text())
    for file in folder("roberta").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({**whole, "pad_token_id": 0}))
    proof = proved(tmp_path)
    assert failed(proof) == ["tokenizer"]
    assert "padding id" in proof.reason


def test_a_tokenizer_of_another_model_is_told(tmp_path: Path) -> None:
    proof = proved(save_model(tmp_path, "gpt2", tokenizer="bytes", vocab_size=100, n_layer=2, bos_token_id=2))
    assert failed(proof) == ["tokenizer"]
    assert "another model" in proof.reason


def test_characters_that_no_token_covers_are_told(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    coded = checks_text.ShowText.coded

    def lossy(show: Any, said: str) -> Any:
        ids, special, places = coded(show, said)
        return ids, special, [place - {1} for place in places]

    monkeypatch.setattr(checks_text.ShowText, "coded", lossy)
    proof = proved(folder("gpt2"))
    assert failed(proof) == ["offsets"]
    assert "character 1" in proof.reason


def test_special_tokens_that_are_pooled_fail_special(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    pad = text.pad

    def unmasked(*rows: Any, **how: Any) -> Any:
        batch = pad(*rows, **how)
        return dataclasses.replace(batch, content=batch.real)

    monkeypatch.setattr(text, "pad", unmasked)
    assert {"special", "reading"} <= set(failed(proved(folder("bert"))))


def test_two_begins_of_text_fail_bos(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    shown_ids = checks_text.shown_ids
    monkeypatch.setattr(checks_text, "shown_ids", lambda model, s: [2, *shown_ids(model, s)])
    assert failed(proved(folder("bert"))) == ["bos"]


def test_weights_that_are_not_finite_are_told(folder: Folder, tmp_path: Path) -> None:
    for file in folder("gpt2").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    name = next(name for name in tensors if name.endswith("h.1.mlp.c_fc.weight"))
    tensors[name][0, 0] = float("nan")
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    proof = proved(tmp_path)
    assert {"finite", "runs"} <= set(failed(proof))
    finite = proof.check("finite")
    assert finite is not None
    assert "mlp_out.1" in finite.note or "resid_post.1" in finite.note


def test_a_fused_kernel_with_other_numbers_fails_fused(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def damage(model: Any) -> None:
        if model.net.config._attn_implementation == "sdpa":
            model.net.h[1].attn.c_proj.weight.data *= 1.01

    breaking(monkeypatch, TextSpec, damage)
    assert failed(proved(folder("gpt2"))) == ["fused", "fused_float64"]


def test_pictures_prepared_otherwise_fail_reading(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def damage(model: Any) -> None:
        model.processor._processor.image_mean = [0.5, 0.5, 0.5]

    breaking(monkeypatch, ImageSpec, damage)
    assert failed(proved(folder("vit"))) == ["reading", "fused_float64"]


def test_a_class_token_counted_as_a_patch_is_told(folder: Folder) -> None:
    spec: Any = resolve(str(folder("vit")))
    assert failed(prove(dataclasses.replace(spec, specials=0))) == ["loads"]


def test_the_dtype_asked_for_is_measured(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    proof = proved(folder("bert"), dtype="float16")
    check = proof.check("dtype")
    assert proof.safe, proof.reason
    assert check is not None
    assert check.error is not None
    assert 1e-5 < check.error < 0.03
    assert all(site.asked is not None for site in proof.sites)

    def damage(model: Any) -> None:
        if model.net.dtype == torch.float16:
            model.net.encoder.layer[0].output.dense.weight.data *= 2

    breaking(monkeypatch, TextSpec, damage)
    assert failed(proved(folder("bert"), dtype="float16")) == ["dtype"]


@pytest.mark.parametrize("name", ["words:tfidf", "random:{}"])
def test_what_cannot_be_proved_is_said(name: str, folder: Folder) -> None:
    with pytest.raises(UsageError, match=r"nothing to prove|random twin"):
        prove_all(resolve(name.format(folder("gpt2"))))
