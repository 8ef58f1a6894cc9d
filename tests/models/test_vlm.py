"""Image-text generators: both towers, every family, against the library's own processor and one plain forward pass."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conceptprobe.errors import CorruptError, UsageError
from conceptprobe.models import JointSpec, resolve, towers
from conceptprobe.models.families.text import FAMILIES
from conceptprobe.models.image import ImageModel
from conceptprobe.models.options import Options
from conceptprobe.models.text import TextModel
from conceptprobe.models.vlm import VlmModel
from conceptprobe.models.vlm_folder import VlmSpec
from conceptprobe.models.vlm_prompt import check_options
from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet
from models.plain_vlms import Plain
from models.tiny_images import save_image_model
from models.tiny_models import collect, one_by_one, stimuli
from models.tiny_vlms import RECIPES, save_vlm, shown

TOLERANCE = 1e-5
POOLED = ("mean", "image_tokens", "text_tokens", "last", "concept_span")


@dataclass
class Tiny:
    """One family: what the package makes of its folder, and the plain model beside it."""

    name: str
    folder: Path
    spec: JointSpec
    text: TextModel
    image: VlmModel
    plain: Plain
    items: list[Stimulus]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tiny]:
    """Each model is saved and loaded once."""
    return {}


@pytest.fixture(params=sorted(RECIPES))
def tiny(request: pytest.FixtureRequest, made: dict[str, Tiny], tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    name = str(request.param)
    if name not in made:
        folder = tmp_path_factory.mktemp(name)
        save_vlm(folder, name)
        spec = resolve(str(folder))
        assert isinstance(spec, JointSpec)
        text, image = (tower.load() for tower in towers(spec))
        assert isinstance(text, TextModel)
        assert isinstance(image, VlmModel)
        made[name] = Tiny(name, folder, spec, text, image, Plain.of(folder, name), shown(folder))
    return made[name]


def error(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def expected(tiny: Tiny, items: list[Stimulus], pooling: str) -> dict[str, np.ndarray]:
    rows = [tiny.plain.rows(item, pooling) for item in items]
    return {site: np.stack([r[site] for r in rows]) for site in rows[0]}


def with_text(tiny: Tiny) -> list[Stimulus]:
    return [s for s in tiny.items if s.text]


@pytest.mark.parametrize("pooling", ["mean", "image_tokens"])
def test_pictures_alone_and_with_texts_are_read_as_the_library_reads_them(tiny: Tiny, pooling: str) -> None:
    """Every site of both towers, in mixed batches."""
    ours = collect(tiny.image, tiny.items, tiny.image.sites, [pooling])
    theirs = expected(tiny, tiny.items, pooling)
    assert {site for site, _ in ours} == set(tiny.image.sites)
    for site in tiny.image.sites:
        assert error(ours[site, pooling], theirs[site]) < TOLERANCE, site


@pytest.mark.parametrize("pooling", ["text_tokens", "last", "concept_span"])
def test_texts_beside_pictures_are_read_as_the_library_reads_them(tiny: Tiny, pooling: str) -> None:
    items = with_text(tiny)
    sites = [s for s in tiny.image.sites if not s.startswith("vision.")]
    ours = collect(tiny.image, items, sites, [pooling])
    theirs = expected(tiny, items, pooling)
    for site in sites:
        assert error(ours[site, pooling], theirs[site]) < TOLERANCE, site


@pytest.mark.parametrize("padding_side", ["left", "right"])
def test_texts_alone_are_read_as_the_whole_model_reads_them(tiny: Tiny, padding_side: str) -> None:
    """The text tower, padded on either side, against the whole model with one text and no picture."""
    items = stimuli(6)
    tiny.text.padding_side = padding_side
    ours = collect(tiny.text, items, tiny.text.sites, ["mean", "last"])
    for i, item in enumerate(items):
        inputs = tiny.plain.prepared_text(item.content)
        states = tiny.plain.states(inputs)
        special = {tiny.text.tokenizer.bos_token_id, tiny.text.tokenizer.eos_token_id}
        content = np.array([t not in special for t in inputs["input_ids"][0].tolist()])
        for site in tiny.text.sites:
            assert error(ours[site, "mean"][i], states[site][content].mean(0)) < TOLERANCE, site
            assert error(ours[site, "last"][i], states[site][content][-1]) < TOLERANCE, site


def test_branches_add_up_to_what_a_block_adds(tiny: Tiny) -> None:
    """`attn_out.i` + `mlp_out.i` is what leaves block i less what enters it, over image tokens as over text."""
    image = towers(tiny.spec)[1]
    assert isinstance(image, VlmSpec)
    sites = image.extra_sites
    assert bool(sites) == bool(FAMILIES[image.text_type].attn)
    items = with_text(tiny)
    for pooling in ("image_tokens", "text_tokens"):
        ours = collect(tiny.image, items, sites, [pooling])
        theirs = expected(tiny, items, pooling)
        for i in range(tiny.spec.info.n_layers if sites else 0):
            both = ours[f"attn_out.{i}", pooling] + ours[f"mlp_out.{i}", pooling]
            assert error(both, theirs[f"resid_post.{i}"] - theirs[f"into.{i}"]) < TOLERANCE


IMAGE_TOKENS = {
    "llava": 16,  # 4 x 4 patches of 8 pixels
    "llava_onevision": 16 + 8 * 8 + 8,  # the whole, 2 x 2 tiles, and the end of each of their 8 rows
    "qwen2_vl": 16,  # scaled to 32 x 32: 8 x 8 patches of 4 pixels, merged 2 x 2
    "qwen2_5_vl": 16,
    "qwen3_vl": 16,
    "gemma3": 4,  # 4 x 4 patches, averaged 2 x 2
    "idefics3": 5 * 4,  # 2 x 2 tiles and the whole, each of 4 x 4 patches, shuffled 2 x 2
    "smolvlm": 5 * 4,
    "paligemma": 16,
    "paligemma2": 16,
}
"""Of a picture of 64 x 64 pixels."""


def test_a_picture_takes_as_many_tokens_as_its_connector_gives(tiny: Tiny) -> None:
    square = tiny.items[3]
    assert tiny.image.prompts(square).of_picture.sum() == IMAGE_TOKENS[tiny.name]


def test_image_and_text_tokens_are_apart_and_are_all_the_content(tiny: Tiny) -> None:
    """So `mean` is the mean of both, weighted by their numbers."""
    items = with_text(tiny)
    rows = collect(tiny.image, items, ["final"], ["mean", "image_tokens", "text_tokens"])
    for i, item in enumerate(items):
        prompt = tiny.image.prompts(item)
        assert not (prompt.of_picture & prompt.of_text).any()
        assert (prompt.in_span <= prompt.of_text).all()
        n, m = prompt.of_picture.sum(), prompt.of_text.sum()
        both = (n * rows["final", "image_tokens"][i] + m * rows["final", "text_tokens"][i]) / (n + m)
        assert error(rows["final", "mean"][i], both) < TOLERANCE


def test_another_picture_changes_the_text_and_another_text_changes_no_picture(tiny: Tiny) -> None:
    """What stands later sees what stands before; only a prefix that is attended both ways (PaliGemma) sees back."""
    here, there = tiny.items[3], replace(tiny.items[3], content=tiny.items[5].content, file=tiny.items[5].file)
    said = replace(here, text="his soul again", span=None)
    items = [here, there, said]
    rows = collect(tiny.image, items, ["embed", "resid_post.2"], ["image_tokens", "text_tokens"])
    image, text = rows["resid_post.2", "image_tokens"], rows["resid_post.2", "text_tokens"]
    assert error(image[1], image[0]) > 1e-2
    assert error(text[1], text[0]) > 1e-3
    words = rows["embed", "text_tokens"]
    assert error(words[1], words[0]) < TOLERANCE
    assert (error(image[2], image[0]) < TOLERANCE) == (tiny.plain.kind != "paligemma")


@pytest.mark.parametrize("left_out", ["token_type_ids", "mm_token_type_ids"])
def test_the_kinds_of_tokens_matter(tiny: Tiny, left_out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them image tokens would not attend both ways (Gemma 3, PaliGemma), or be numbered along one axis (Qwen):
    the comparison with the library would show it."""
    item = tiny.items[3]
    needed = left_out in tiny.image.prompts(item).inputs
    families = {
        "token_type_ids": {"gemma3", "paligemma", "paligemma2"},
        "mm_token_type_ids": {"qwen2_vl", "qwen2_5_vl", "qwen3_vl"},
    }
    assert needed == (tiny.name in families[left_out])
    if needed:
        # Of an unpadded prompt torch's fused attention would do PaliGemma's by chance.
        model = towers(resolve(str(tiny.folder), options=Options(attention="eager")))[1].load()
        assert isinstance(model, VlmModel)
        whole = collect(model, [item], ["final"], ["mean"])["final", "mean"]
        monkeypatch.setattr(model.prompts, "_arguments", model.prompts._arguments - {left_out})
        if tiny.name in ("qwen2_vl", "qwen3_vl"):  # transformers refuses to guess
            with pytest.raises(CorruptError, match=left_out):
                collect(model, [item], ["final"], ["mean"])
        else:
            assert error(collect(model, [item], ["final"], ["mean"])["final", "mean"], whole) > 100 * TOLERANCE


def test_batches_and_single_pictures_agree(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    forward = VlmModel._forward

    def counted(self: VlmModel, prompts: Any, *rest: Any) -> Any:
        sizes.append(len(prompts))
        return forward(self, prompts, *rest)

    monkeypatch.setattr(VlmModel, "_forward", counted)
    together = collect(tiny.image, tiny.items, tiny.image.sites, ["mean", "image_tokens"])
    assert max(sizes) > 1
    alone = one_by_one(tiny.image, tiny.items, tiny.image.sites, ["mean", "image_tokens"])
    for cell, rows in together.items():
        assert error(rows, alone[cell]) < TOLERANCE, cell


def test_nothing_is_run_above_the_highest_wanted_block(tiny: Tiny) -> None:
    """A site asked for alone gives the rows it gives among all others."""
    items = tiny.items[:4]
    whole = collect(tiny.image, items, tiny.image.sites, ["mean"])
    run: list[str] = []
    layers = {"vision": tiny.image.vision_reader.blocks, "text": tiny.image.reader.blocks}
    handles = [
        block.register_forward_hook(lambda *_, at=f"{tower}.{i}": run.append(at))
        for tower, blocks in layers.items()
        for i, block in enumerate(blocks)
    ]
    try:
        for site, ran in (("vision.resid_post.0", {"vision.0"}), ("embed", {"vision.0", "vision.1"})):
            run.clear()
            assert error(collect(tiny.image, items, [site], ["mean"])[site, "mean"], whole[site, "mean"]) < TOLERANCE
            assert set(run) == ran
    finally:
        for handle in handles:
            handle.remove()


def test_both_towers_are_models_of_one_name_and_kin(tiny: Tiny) -> None:
    text, image = towers(tiny.spec)
    assert tiny.spec.info.modalities == ("text", "image")
    assert (text.info.modalities, image.info.modalities) == (("text",), ("image",))
    assert text.info.related_to(image.info)
    assert len({tiny.spec.info.sha256, text.info.sha256, image.info.sha256}) == 3
    assert text.info.name == image.info.name == tiny.spec.info.name
    assert image.info.n_params == sum(p.numel() for p in tiny.plain.net.parameters())
    assert text.sites == ("embed", "resid_post.0", "resid_post.1", "resid_post.2", "final")
    seen = ("vision.embed", "vision.resid_post.0", "vision.resid_post.1", "vision.final")
    assert image.sites == (*seen, *text.sites)


def test_twins_are_untrained_and_the_same_every_time(tiny: Tiny) -> None:
    image = towers(tiny.spec)[1]
    once, again, other = image.twin(0), image.twin(0), image.twin(1)
    assert once.info.sha256 == again.info.sha256 != other.info.sha256 != image.info.sha256
    assert once.info.kind == "twin"
    with pytest.raises(UsageError, match="twin already"):
        once.twin(1)
    items = tiny.items[:2]
    rows = [collect(s.load(), items, ["vision.final", "final"], ["mean"]) for s in (once, again)]
    assert error(rows[0]["final", "mean"][0], rows[0]["final", "mean"][1]) > 1e-4  # it sees the pictures
    own = collect(tiny.image, items, ["vision.final", "final"], ["mean"])
    for site in ("vision.final", "final"):
        assert np.array_equal(rows[0][site, "mean"], rows[1][site, "mean"])
        assert error(rows[0][site, "mean"], own[site, "mean"]) > 1e-2


def test_what_cannot_be_pooled_is_said(tiny: Tiny) -> None:
    bare, said = tiny.items[0], tiny.items[3]
    model = tiny.image
    with pytest.raises(UsageError, match=r"sees no text, so 'vision\.final' cannot be pooled by 'text_tokens'"):
        collect(model, [said], ["vision.final"], ["text_tokens"])
    with pytest.raises(UsageError, match="no token to pool by 'text_tokens'"):
        collect(model, [bare], ["final"], ["text_tokens"])
    with pytest.raises(UsageError, match="has no pooling 'cls'"):
        collect(model, [bare], ["final"], ["cls"])
    with pytest.raises(UsageError, match="has no pooling 'image_tokens'"):
        collect(tiny.text, stimuli(1), ["final"], ["image_tokens"])
    marked = replace(said, id="marked", text=f"a {tiny.plain.marker} of her", span=None)
    with pytest.raises(CorruptError, match="cannot take the picture of stimulus 'marked'"):
        collect(model, [marked], ["final"], ["mean"])
    with pytest.raises(UsageError, match="tokens; this model takes 512"):
        collect(model, [replace(said, text="soul " * 600, span=None)], ["final"], ["mean"])
    chatty = towers(resolve(str(tiny.folder), options=Options(chat=True)))[1]
    assert isinstance(chatty, VlmSpec)
    with pytest.raises(UsageError, match="which 'chat' cannot be applied to"):
        check_options(chatty, (said,))


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_files_of_every_layout_are_the_same_model(name: str, tmp_path: Path) -> None:
    """Old releases named tensors and nested configurations otherwise; transformers writes one layout, we read both."""
    from safetensors.torch import save_file

    net = save_vlm(tmp_path, name)
    items = shown(tmp_path)[2:4]
    spec = resolve(str(tmp_path))
    before = collect(towers(spec)[1].load(), items, ["vision.final", "final"], ["mean"])
    tensors = {k: v.contiguous() for k, v in net.state_dict().items() if k != "lm_head.weight"}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((tmp_path / "config.json").read_text())
    if name == "qwen2_5_vl":  # its releases have the language model's entries among the others
        config |= {k: v for k, v in config.pop("text_config").items() if k != "model_type"}
        config["vision_config"].pop("model_type")
    (tmp_path / "config.json").write_text(json.dumps(config))
    other = resolve(str(tmp_path))
    assert [t.info.family for t in towers(other)] == [t.info.family for t in towers(spec)]
    after = collect(towers(other)[1].load(), items, ["vision.final", "final"], ["mean"])
    for cell, rows in after.items():
        assert error(rows, before[cell]) < TOLERANCE


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_vlm(tmp_path, "llava")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "idefics3"}))
    with pytest.raises(CorruptError, match="hold no idefics3"):
        resolve(str(tmp_path))
    config["text_config"]["model_type"] = "gpt_bigcode"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="of the family 'gpt_bigcode', which is not in the table"):
        resolve(str(tmp_path))


def test_a_text_beside_a_picture_is_part_of_the_stimulus(tmp_path: Path) -> None:
    """It enters the fingerprint, without one nothing changes there; a model of pictures alone refuses it."""
    items = shown(tmp_path)
    bare = items[0]
    said = replace(bare, text="Her soul.", span=(4, 8))
    prints = [
        StimulusSet("x", (s,)).fingerprint
        for s in (bare, said, replace(said, text="Her soup."), replace(said, text=""))
    ]
    assert len(set(prints)) == 4
    assert StimulusSet("x", (replace(bare, text=""),)).fingerprint == prints[0]
    save_image_model(tmp_path / "vit", "vit")
    vit = resolve(str(tmp_path / "vit")).load()
    assert isinstance(vit, ImageModel)
    with pytest.raises(UsageError, match="reads a picture alone"):
        collect(vit, [said], ["final"], ["mean"])
