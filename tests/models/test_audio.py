"""Audio models: every family's sites are what the library computes of one sound alone, whatever the batch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe.errors import CorruptError, MissingError, SoundError, UsageError
from conceptprobe.models import resolve, towers
from conceptprobe.models.audio import AudioModel
from conceptprobe.models.audio_places import Folded, OverPatches, OverWindow
from conceptprobe.models.families.audio import AUDIO_FAMILIES
from conceptprobe.models.families.base import all_at_path, at_path
from conceptprobe.stimuli.stimulus import Stimulus
from models.tiny_models import collect, largest_error, one_by_one
from models.tiny_sounds import (
    CLASSES,
    FRAMES,
    MELS,
    PATCH,
    RATE,
    SPECIFIC,
    STRIDE,
    VARIANTS,
    save_audio_model,
    save_extractor,
    sound,
    sounds,
    write_sound,
)

TOLERANCE = 1e-5
PRE_NORM = ("whisper", "audio-spectrogram-transformer", *(name for name in VARIANTS if name.endswith("pre-norm")))
"""Where nothing but attention and feed-forward layer is added to the residual stream."""

Saved = Callable[[str], Path]


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Stimulus]:
    """Two of them are equally long, so that models of raw waveforms have a batch to make."""
    return sounds(tmp_path_factory.mktemp("sounds"), 6, seconds=(0.5, 0.13, 0.97, 0.31, 0.5, 0.752))


@pytest.fixture
def model(audio_folder: Saved) -> AudioModel:
    loaded = resolve(str(audio_folder("whisper"))).load()
    assert isinstance(loaded, AudioModel)
    return loaded


def untouched(folder: Path, model_type: str) -> Any:
    """The library's own network, with eager attention."""
    import transformers

    kind = getattr(transformers, CLASSES.get(model_type, "AutoModel"))
    return kind.from_pretrained(folder, attn_implementation="eager").eval()


def played(folder: Path, item: Stimulus) -> tuple[Any, int]:
    """What the library's own feature extractor makes of one sound, and how many samples that has."""
    from transformers import AutoFeatureExtractor

    samples, rate = soundfile.read(item.file, dtype="float32")
    assert rate == RATE
    made = AutoFeatureExtractor.from_pretrained(folder)(samples, sampling_rate=rate, return_tensors="pt")
    return dict(made), len(samples)


def by_hand(net: Any, model_type: str, inputs: Any) -> tuple[dict[str, torch.Tensor], Any]:
    """Every hidden state of one sound, by hooks of this test, and the output of the library."""
    row = AUDIO_FAMILIES[model_type]
    seen: dict[str, torch.Tensor] = {}

    def leaving(site: str) -> Any:
        return lambda _, __, output: seen.update({site: output[0] if isinstance(output, tuple) else output})

    root = net.encoder if model_type == "whisper" else getattr(net, "audio_model", net)
    blocks = [block for found in all_at_path(root, row.blocks) for block in found]
    handles = [blocks[0].register_forward_pre_hook(lambda _, args: seen.update(embed=args[0]))]
    for i, block in enumerate(blocks):
        handles.append(block.register_forward_hook(leaving(f"resid_post.{i}")))
        for kind, path in (("attn_out", row.attn), ("mlp_out", row.mlp)):
            if path:
                handles.append(at_path(block, path).register_forward_hook(leaving(f"{kind}.{i}")))
    whisper = {"input_features": inputs["input_features"]} if model_type == "whisper" else {}
    with torch.no_grad():
        out = root(**(whisper or inputs), output_hidden_states=True)
    for handle in handles:
        handle.remove()
    seen["final"] = out.last_hidden_state
    return seen, out


def counted(model_type: str, net: Any, samples: int, hidden: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
    """[t, d] and the positions that hold sound, counted out one by one."""
    states = hidden[0].flatten(1).T if hidden.ndim == 4 else hidden[0]
    if model_type == "whisper":
        return states, [k for k in range(50) if k * 320 < samples]
    if model_type == "audio-spectrogram-transformer":
        heard = len(range(0, samples - 400 + 1, 160))
        times = [t for t in range(0, FRAMES - PATCH + 1, STRIDE)]
        low = len(range(0, MELS - PATCH + 1, STRIDE))
        return states, [2 + f * len(times) + k for f in range(low) for k, t in enumerate(times) if t < heard]
    if model_type == "clap_audio_model":
        end = samples * (RATE // samples) / RATE
        if hidden.ndim == 4:
            low, late = hidden.shape[2:]
            return states, [f * late + t for f in range(low) for t in range(late) if t / late < end]
        # The library folds a spectrogram that says of every frame when it begins.
        clock = (torch.arange(256.0) / 256)[None, None, :, None].expand(1, 1, 256, 16).contiguous()
        picture = net.audio_model.audio_encoder.reshape_mel2img(clock)[0, 0]
        side = int(len(states) ** 0.5)
        begins = picture.reshape(side, 64 // side, side, 64 // side).amin((1, 3)).flatten()
        return states, [k for k in range(side * side) if begins[k] < end]
    return states, list(range(len(states)))


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_every_row_of_the_table_holds(name: str, audio_folder: Saved, items: list[Stimulus]) -> None:
    model_type, folder = VARIANTS[name][0], audio_folder(name)
    row, spec = AUDIO_FAMILIES[model_type], resolve(str(folder))
    net = untouched(folder, model_type)
    depth = 4 if model_type == "clap_audio_model" else 3
    assert (spec.info.family, spec.info.modalities) == (model_type, ("audio",))
    assert (spec.info.n_layers, spec.info.d_model) == (depth, 32)
    assert spec.info.n_params == sum(p.numel() for p in (net.encoder if row.trunk else net).parameters())
    pooled = ("pooled",) if row.pooled else ()
    assert spec.sites == ("embed", *(f"resid_post.{i}" for i in range(depth)), "final", *pooled)
    assert spec.poolings == (("mean", "cls") if row.specials else ("mean",))
    loaded = spec.load()
    assert isinstance(loaded, AudioModel)
    assert bool(net._supports_sdpa) == row.sdpa
    assert loaded.net.config._attn_implementation == ("sdpa" if row.sdpa else "eager")

    sites = (*spec.sites, *spec.extra_sites)
    rows = collect(loaded, items, sites, spec.poolings)
    for loaded.batch_sounds in (1, 3):
        assert largest_error(collect(loaded, items, sites, spec.poolings), rows) < TOLERANCE

    plain: dict[Any, list[np.ndarray]] = {}
    for item in items:
        inputs, samples = played(folder, item)
        seen, out = by_hand(net, model_type, inputs)
        for site, hidden in seen.items():
            states, held = counted(model_type, net, samples, hidden)
            assert 0 < len(held) <= len(states)
            plain.setdefault((site, "mean"), []).append(states[held].mean(0).numpy())
            if "cls" in spec.poolings:
                plain.setdefault((site, "cls"), []).append(states[0].numpy())
        if pooled:
            own = net.audio_projection(out.pooler_output) if hasattr(net, "audio_projection") else out.pooler_output
            for pooling in spec.poolings:
                plain.setdefault(("pooled", pooling), []).append(own[0].detach().numpy())
    assert largest_error(rows, {cell: np.stack(values) for cell, values in plain.items()}) < TOLERANCE


@pytest.mark.parametrize("name", PRE_NORM)
def test_branches_add_up_to_the_stream(name: str, audio_folder: Saved, items: list[Stimulus]) -> None:
    spec = resolve(str(audio_folder(name)))
    rows = collect(spec.load(), items, (*spec.sites, *spec.extra_sites), ["mean"])
    stream = rows["embed", "mean"]
    for i in range(3):
        branches = [rows[f"{kind}.{i}", "mean"] for kind in ("attn_out", "mlp_out")]
        assert all(np.abs(branch).max() > 0.05 * np.abs(stream).max() for branch in branches)
        total, stream = stream + sum(branches), rows[f"resid_post.{i}", "mean"]
        assert np.abs(total - stream).max() < TOLERANCE * np.abs(stream).max()


def test_the_feed_forward_branch_of_clap_adds_up(audio_folder: Saved, items: list[Stimulus]) -> None:
    """Its attention is window by window, so the stream behind attention is read where the second norm takes it."""
    folder = audio_folder("clap_audio_model")
    spec, net = resolve(str(folder)), untouched(folder, "clap_audio_model")
    loaded = spec.load()
    rows = collect(loaded, items[:1], [f"{kind}.1" for kind in ("resid_post", "mlp_out")], ["mean"])
    middle: list[torch.Tensor] = []
    block = net.audio_model.audio_encoder.layers[0].blocks[1]
    block.layernorm_after.register_forward_pre_hook(lambda _, args: middle.append(args[0]))
    inputs, samples = played(folder, items[0])
    by_hand(net, "clap_audio_model", inputs)
    states, held = counted("clap_audio_model", net, samples, middle[0])
    total = rows["mlp_out.1", "mean"][0] + states[held].mean(0).numpy()
    assert np.abs(total - rows["resid_post.1", "mean"]).max() < TOLERANCE * np.abs(total).max()


@pytest.mark.parametrize("name", sorted(set(VARIANTS) - {"clap_audio_model", "clap_audio_model, fused"}))
def test_hidden_states_of_the_library_agree(name: str, audio_folder: Saved, items: list[Stimulus]) -> None:
    """All but the last, which is post-norm in some families."""
    model_type, folder = VARIANTS[name][0], audio_folder(name)
    net, loaded = untouched(folder, model_type), resolve(str(folder)).load()
    inputs, samples = played(folder, items[1])
    states = by_hand(net, model_type, inputs)[1].hidden_states
    rows = collect(loaded, items[1:2], ["embed", "resid_post.0", "resid_post.1"], ["mean"])
    for site, hidden in zip(("embed", "resid_post.0", "resid_post.1"), states, strict=False):
        positions, held = counted(model_type, net, samples, hidden)
        mean = positions[held].mean(0).detach().numpy()
        assert np.abs(rows[site, "mean"] - mean).max() < TOLERANCE * np.abs(mean).max(), site
    assert len(states) == 4


HEADS = {
    "whisper": ("WhisperForConditionalGeneration", "WhisperForAudioClassification"),
    "wav2vec2": ("Wav2Vec2ForCTC", "Wav2Vec2ForPreTraining"),
    "hubert": ("HubertForCTC",),
    "wavlm": ("WavLMForSequenceClassification",),
    "data2vec-audio": ("Data2VecAudioForCTC",),
    "unispeech": ("UniSpeechForCTC",),
    "unispeech-sat": ("UniSpeechSatForCTC",),
    "audio-spectrogram-transformer": ("ASTForAudioClassification",),
    "clap_audio_model": ("ClapAudioModel",),
}


@pytest.mark.parametrize(("model_type", "kind"), [(m, kind) for m, kinds in HEADS.items() for kind in kinds])
def test_a_head_or_a_decoder_is_left_unread(
    model_type: str, kind: str, audio_folder: Saved, items: list[Stimulus], tmp_path: Path
) -> None:
    """Drawn from one seed, the part that is read has weights of its own: it is compared with the network in memory."""
    whole = save_audio_model(tmp_path, model_type, kind=kind)
    spec = resolve(str(tmp_path))
    base = {
        "whisper": lambda: whole.get_encoder() if "Cond" in kind else whole.encoder,
        "clap_audio_model": lambda: whole,
    }
    inner = base.get(model_type, lambda: getattr(whole, whole.base_model_prefix))()
    assert spec.info.n_params == sum(p.numel() for p in inner.parameters())
    assert spec.sites == resolve(str(audio_folder(model_type))).sites
    rows = collect(spec.load(), items[:1], ["resid_post.2", *spec.sites[-1:]], ["mean"])
    inputs, samples = played(tmp_path, items[0])
    with torch.no_grad():
        out = inner(**inputs)
    if spec.sites[-1] == "pooled":
        theirs = out.pooler_output[0].numpy()
    else:
        states, held = counted(model_type, whole, samples, out.last_hidden_state)
        theirs = states[held].mean(0).numpy()
    assert np.abs(rows[spec.sites[-1], "mean"][0] - theirs).max() < TOLERANCE * np.abs(theirs).max()


def test_weights_of_the_positional_convolution_under_their_old_names_are_read(
    audio_folder: Saved, items: list[Stimulus], tmp_path: Path
) -> None:
    """As published; and without the mask of training, which some files lack."""
    from safetensors.torch import load_file, save_file

    folder = audio_folder("wav2vec2")
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text((folder / name).read_text())
    tensors = load_file(folder / "model.safetensors")
    inside = "encoder.pos_conv_embed.conv.parametrizations.weight.original"
    for new, old in (("0", "g"), ("1", "v")):
        tensors[f"encoder.pos_conv_embed.conv.weight_{old}"] = tensors.pop(inside + new)
    del tensors["masked_spec_embed"]
    save_file({f"wav2vec2.{name}": values for name, values in tensors.items()}, tmp_path / "model.safetensors")
    sites = ["embed", "final"]
    rows = [collect(resolve(str(f)).load(), items, sites, ["mean"]) for f in (folder, tmp_path)]
    assert largest_error(*rows) == 0


def test_a_tensor_that_is_needed_and_lacking_is_said(audio_folder: Saved, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = audio_folder("whisper")
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text((folder / name).read_text())
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layers.1.fc1.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(CorruptError, match=r"lack 1 tensors, encoder\.layers\.1\.fc1\.weight"):
        resolve(str(tmp_path)).load()


def test_the_forward_pass_stops_above_the_highest_wanted_block(model: AudioModel, items: list[Stimulus]) -> None:
    whole = collect(model, items[:2], (*model.sites, "mlp_out.1"), ["mean"])
    ran: list[int] = []
    for i, block in enumerate(model.blocks):
        block.register_forward_hook(lambda *_, i=i: ran.append(i))
    for sites, blocks in ((["embed"], []), (["mlp_out.1"], [0, 1]), (["embed", "final"], [0, 1, 2])):
        ran.clear()
        rows = collect(model, items[:2], sites, ["mean"])
        assert set(rows) == {(site, "mean") for site in sites}
        assert largest_error(rows, {cell: whole[cell] for cell in rows}) == 0
        assert ran == blocks


def test_what_pads_a_sound_is_not_averaged(model: AudioModel, tmp_path: Path) -> None:
    """The middle of frame k stands at 20 k ms: of 0.5 s that is frames 0 to 24."""
    (item,) = sounds(tmp_path, 1, seconds=(0.5,))
    rows = collect(model, [item], ["resid_post.2"], ["mean"])["resid_post.2", "mean"]
    whole: list[torch.Tensor] = []
    model.blocks[2].register_forward_hook(lambda _, __, output: whole.append(output))
    collect(model, [item], ["resid_post.2"], ["mean"])
    states = whole[0][0].numpy()
    scale = np.abs(states[:25].mean(0)).max()
    assert np.abs(rows - states[:25].mean(0)).max() < TOLERANCE * scale
    assert np.abs(rows - states.mean(0)).max() > 0.05 * scale


# What is before the end of a sound changes what is counted, and hardly anything else does.


@settings(max_examples=15, deadline=None)
@given(samples=st.integers(1_600, 15_999))
def test_frames_of_a_window_are_those_that_see_the_sound(samples: int) -> None:
    from transformers import WhisperFeatureExtractor

    extractor = WhisperFeatureExtractor(feature_size=20, chunk_length=1)
    held = OverWindow(16_000, 50).with_sound(samples, (50,))
    assert held is not None
    noise = np.random.default_rng(samples).uniform(-1, 1, samples).astype(np.float32)
    frames = extractor(noise, sampling_rate=RATE, return_tensors="np")["input_features"][0]
    sees = (frames > frames.min()).any(0)
    for k in np.flatnonzero(held):  # the middle of what position k sees is frame 2 k
        assert sees[2 * k]
    assert not sees[2 * int(held.sum()) + 2 :].any()


@settings(max_examples=15, deadline=None)
@given(samples=st.integers(1_600, 15_999))
def test_patches_are_those_that_see_the_sound(samples: int) -> None:
    from transformers import ASTFeatureExtractor

    extractor = ASTFeatureExtractor(num_mel_bins=MELS, max_length=FRAMES)
    times = (FRAMES - PATCH) // STRIDE + 1
    places = OverPatches(FRAMES, 5, PATCH, STRIDE)
    held = places.with_sound(samples, (5 * times,))
    assert held is not None
    noise = np.random.default_rng(samples).uniform(-1, 1, samples).astype(np.float32)
    frames = extractor(noise, sampling_rate=RATE, return_tensors="np")["input_values"][0]
    sees = (frames != frames[-1]).any(1) if samples < 15_000 else np.ones(FRAMES, dtype=bool)
    for f in range(5):
        for k in range(times):
            assert held[f * times + k] == sees[k * STRIDE : k * STRIDE + PATCH].any()
    assert places.with_sound(samples, (5 * times + 1,)) is None


@pytest.mark.parametrize(("padding", "end"), [("repeatpad", 0.9), ("repeat", 1.0), ("pad", 0.3)])
def test_repetitions_of_a_sound_are_sound(padding: str, end: float) -> None:
    from transformers import ClapFeatureExtractor

    kwargs = {"feature_size": 16, "hop_length": 160, "fft_window_size": 256, "max_length_s": 1, "frequency_max": 8_000}
    extractor = ClapFeatureExtractor(sampling_rate=RATE, truncation="rand_trunc", padding=padding, **kwargs)
    noise = np.random.default_rng(0).uniform(-1, 1, 4_800).astype(np.float32)
    frames = extractor(noise, sampling_rate=RATE, return_tensors="np")["input_features"][0, 0]
    quiet = frames.max(1) < frames.max() - 60
    held = Folded(RATE, 4, padding).with_sound(4_800, (2, 100))
    assert held is not None
    assert (held.reshape(2, 100)[0] == (np.arange(100) / 100 < end)).all()
    assert (~quiet[:100] == held[:100])[np.arange(100) != round(100 * end)].all()


def test_a_sound_is_read_at_the_rate_of_the_model(model: AudioModel, tmp_path: Path) -> None:
    from conceptprobe.stimuli.sounds import read_sound

    t = np.arange(22_050) / 44_100
    high = write_sound(tmp_path / "high.wav", 0.5 * np.sin(2 * np.pi * 440 * t), 44_100)
    low = write_sound(tmp_path / "low.wav", read_sound(high, rate=RATE))
    rows = [collect(model, [sound(path)], model.sites, ["mean"]) for path in (high, low)]
    assert largest_error(*rows) == 0
    same = write_sound(
        tmp_path / "same.wav", 0.5 * np.sin(2 * np.pi * 440 * t)
    )  # taken for 16 kHz: 160 Hz, and too long
    with pytest.raises(UsageError, match=r"sound of 1\.38 s"):
        collect(model, [sound(same)], ["embed"], ["mean"])


@pytest.mark.parametrize(
    "name", ["whisper", "audio-spectrogram-transformer", "clap_audio_model", "clap_audio_model, fused"]
)
def test_a_sound_that_would_be_cut_is_refused(name: str, audio_folder: Saved, tmp_path: Path) -> None:
    loaded = resolve(str(audio_folder(name))).load()
    assert isinstance(loaded, AudioModel)
    longest = loaded.places.longest
    assert longest is not None
    rng = np.random.default_rng(0)
    fits, over = (
        sound(write_sound(tmp_path / f"{n}.wav", rng.uniform(-0.5, 0.5, longest + n)), f"over by {n}") for n in (0, 1)
    )
    assert collect(loaded, [fits], ["embed"], ["mean"])
    with pytest.raises(UsageError, match=r"stimulus 'over by 1' is a sound of .* takes 0\.\d\d s|takes 1\.00 s"):
        collect(loaded, [fits, over], ["embed"], ["mean"])


def test_the_spectrogram_of_the_longest_sound_has_as_many_frames_as_the_window() -> None:
    from transformers import ASTFeatureExtractor

    places = OverPatches(FRAMES, 5, PATCH, STRIDE)
    rng = np.random.default_rng(0)
    for samples, rows in (
        (places.longest - HOP_BEFORE, FRAMES - 1),
        (places.longest, FRAMES),
        (places.longest + 1, FRAMES + 1),
    ):
        extractor = ASTFeatureExtractor(num_mel_bins=MELS, max_length=FRAMES + 8, do_normalize=False)
        made = extractor(rng.uniform(-1, 1, samples).astype(np.float32), sampling_rate=RATE, return_tensors="np")
        assert int((made["input_values"][0] != 0).any(1).sum()) == rows


HOP_BEFORE = 160


def test_a_sound_too_short_for_one_frame_is_refused(tmp_path: Path) -> None:
    save_audio_model(tmp_path, "wav2vec2", conv_kernel=[2_000, 5, 4])
    loaded = resolve(str(tmp_path)).load()
    least = 2_000 + 8 * (4 + 5 * 3)  # behind one position of the last convolution
    short, enough = (
        sound(write_sound(tmp_path / f"{n}.wav", np.random.default_rng(0).uniform(-1, 1, n)), f"of {n}")
        for n in (least - 1, least)
    )
    assert collect(loaded, [enough], ["final"], ["mean"])
    with pytest.raises(UsageError, match=rf"stimulus 'of {least - 1}' .* hears nothing in less than 0\.13"):
        collect(loaded, [enough, short], ["final"], ["mean"])


def test_a_sound_that_is_gone_or_changed_is_said(model: AudioModel, tmp_path: Path) -> None:
    gone, changed, fine = sounds(tmp_path, 3)
    Path(gone.file).unlink()
    with Path(changed.file).open("ab") as handle:
        handle.write(b"more")
    with pytest.raises(SoundError, match="does not exist"):
        collect(model, [fine, gone], ["embed"], ["mean"])
    with pytest.raises(SoundError, match="has sha256"):
        collect(model, [fine, changed], ["embed"], ["mean"])


@pytest.mark.parametrize("model_type", sorted(AUDIO_FAMILIES))
def test_a_twin_follows_its_seed(model_type: str, audio_folder: Saved, items: list[Stimulus]) -> None:
    folder = audio_folder(model_type)
    spec = resolve(str(folder))
    before = torch.random.get_rng_state(), np.random.get_state()[2]
    made = {seed: collect(spec.twin(seed).load(), items[:3], spec.sites, ["mean"]) for seed in (0, 1)}
    again = collect(spec.twin(0).load(), items[:3], spec.sites, ["mean"])
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[2] == before[1]
    trained = collect(spec.load(), items[:3], spec.sites, ["mean"])
    for cell, rows in made[0].items():
        assert np.array_equal(rows, again[cell])
        assert not np.allclose(rows, made[1][cell], atol=1e-3)
        assert not np.allclose(rows, trained[cell], atol=1e-3)
        assert np.abs(rows - rows.mean(0)).max() > 1e-4 * np.abs(rows).max(), cell
    one = resolve(f"random:{folder}#1")
    assert one.info == spec.twin(1).info
    assert (one.info.kind, one.info.name, one.sites) == ("twin", f"random:{folder}#1", spec.sites)
    with pytest.raises(UsageError, match="random twin already"):
        one.twin(2)


def test_settings_of_the_feature_extractor_are_part_of_the_model(audio_folder: Saved, tmp_path: Path) -> None:
    spec = resolve(str(audio_folder("whisper")))
    save_audio_model(tmp_path, "whisper")
    assert resolve(str(tmp_path)).info.sha256 == spec.info.sha256
    own = tmp_path / "preprocessor_config.json"
    nested = {"feature_extractor": json.loads(own.read_text()), "processor_class": "WhisperProcessor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(nested))
    own.unlink()
    assert resolve(str(tmp_path)).info.sha256 == spec.info.sha256
    (tmp_path / "processor_config.json").unlink()
    save_extractor(tmp_path, "WhisperFeatureExtractor", padding_value=0.25)
    changed = resolve(str(tmp_path))
    assert changed.info.sha256 != spec.info.sha256
    assert changed.twin(0).info.sha256 != spec.twin(0).info.sha256


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sampling_rate": None}, "says no sampling rate"),
        ({"feature_extractor_type": "ClapFeatureExtractor"}, "names the feature extractor ClapFeatureExtractor"),
        ({"dither": 1e-5}, "adds random noise"),
        ({"hop_length": "x"}, "feature extractor of .* cannot be used"),
        ({"feature_size": 24}, "does not take the sounds its feature extractor makes"),
        ({"chunk_length": 2}, "does not take the sounds its feature extractor makes"),
    ],
)
def test_settings_that_cannot_be_used_are_one_message(
    values: dict[str, Any], message: str, items: list[Stimulus], tmp_path: Path
) -> None:
    save_audio_model(tmp_path, "whisper")
    save_extractor(tmp_path, "WhisperFeatureExtractor", **values)
    with pytest.raises(CorruptError, match=message):
        collect(resolve(str(tmp_path)).load(), items[:1], ["embed"], ["mean"])


def test_each_absent_part_has_its_message(tmp_path: Path) -> None:
    save_audio_model(tmp_path, "hubert")
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"model_type": "hubert"', '"model_type": "wav2vec3"'))
    with pytest.raises(UsageError, match="none of the tables of models that hear sounds"):
        resolve(str(tmp_path))
    (tmp_path / "config.json").write_text(
        config.replace('"model_type": "hubert"', '"model_type": "audio-spectrogram-transformer"')
    )
    save_extractor(tmp_path, "ASTFeatureExtractor")
    with pytest.raises(CorruptError, match="hold no audio-spectrogram"):
        resolve(str(tmp_path))
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(MissingError, match="at what rate"):
        resolve(str(tmp_path))


def test_what_an_audio_model_does_not_do_is_said(model: AudioModel, items: list[Stimulus]) -> None:
    assert towers(resolve(model.info.name))[0].info.modalities == ("audio",)
    with pytest.raises(UsageError, match=r"\(audio\) has no pooling 'last'"):
        collect(model, items[:1], ["embed"], ["last"])
    with pytest.raises(UsageError, match="reads audio, and stimulus 's0-0' is image"):
        collect(model, [dataclasses.replace(items[0], modality="image")], ["embed"], ["mean"])


def test_positions_that_do_not_fit_the_layout_are_said(audio_folder: Saved, items: list[Stimulus]) -> None:
    loaded = resolve(str(audio_folder("audio-spectrogram-transformer"))).load()
    assert isinstance(loaded, AudioModel)
    loaded._specials = 1
    with pytest.raises(UsageError, match="81 positions, which is not the layout 'patches' behind 1 special"):
        collect(loaded, items[:1], ["embed"], ["mean"])


def test_weights_of_half_precision_are_read_as_float32_and_other_types_are_near(
    audio_folder: Saved, items: list[Stimulus]
) -> None:
    from conceptprobe.models.options import Options

    folder = str(audio_folder("audio-spectrogram-transformer"))
    exact = collect(resolve(folder).load(), items[:3], ["resid_post.1", "pooled"], ["mean"])
    for dtype, error in (("float64", 1e-4), ("bfloat16", 0.2)):
        spec = resolve(folder, options=Options(dtype=dtype))
        assert spec.info.sha256 != resolve(folder).info.sha256
        rows = collect(spec.load(), items[:3], ["resid_post.1", "pooled"], ["mean"])
        assert 0 < largest_error(rows, exact) < error
        assert all(values.dtype == np.float32 for values in rows.values())


def test_every_family_has_a_recipe() -> None:
    assert set(SPECIFIC) == set(AUDIO_FAMILIES)
    assert set(HEADS) == set(AUDIO_FAMILIES)


def test_one_by_one_is_the_batch(audio_folder: Saved, tmp_path: Path) -> None:
    """In any order, and in threads or not."""
    loaded = resolve(str(audio_folder("wavlm"))).load()
    many = sounds(tmp_path, 11, seconds=(0.4, 0.2, 0.4))
    alone = one_by_one(loaded, many, loaded.sites, ["mean"])
    back = collect(loaded, many[::-1], loaded.sites, ["mean"])
    assert largest_error({cell: rows[::-1] for cell, rows in back.items()}, alone) < TOLERANCE
