"""Frames computed elsewhere, read by utterance, give what the model itself gives."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import torch

from multires.corpus.utterance import Corpus, Segment, Utterance
from multires.errors import MultiresError
from multires.features.extract import extract
from multires.features.segments import segment_table
from multires.models import build_model, load_model


def matrix(array):
    """Kaldi's binary form of a float matrix."""
    rows, columns = array.shape
    return b"\0BFM \4" + struct.pack("<i", rows) + b"\4" + struct.pack("<i", columns) + array.astype("<f4").tobytes()


def store(folder, frames, periods, form="npz"):
    """Frames by utterance and layer in one of the forms."""
    folder.mkdir(parents=True, exist_ok=True)
    layers = {name: {"frame_period": period, "first_center": 0.0125} for name, period in periods.items()}
    (folder / "features.json").write_text(json.dumps({"layers": layers}))
    for utterance, arrays in frames.items():
        if form == "npz":
            (folder / utterance).parent.mkdir(parents=True, exist_ok=True)
            np.savez(folder / f"{utterance}.npz", **arrays)
        for name, array in arrays.items():
            if form == "npy":
                (folder / name / utterance).parent.mkdir(parents=True, exist_ok=True)
                np.save(folder / name / f"{utterance}.npy", array)
            if form == "ark":
                with (folder / f"{name}.ark").open("ab") as file:
                    file.write(f"{utterance} ".encode() + matrix(array))
    return folder


@pytest.fixture(scope="module")
def corpus():
    """Two utterances of noise with two words each."""
    rng = np.random.default_rng(0)

    def utterance(name, seconds):
        audio = (0.1 * rng.standard_normal(round(seconds * 16_000))).astype(np.float32)
        words = (Segment("a", 0.1, seconds / 2), Segment("b", seconds / 2, seconds - 0.1))
        return Utterance(name, name[0], "train", seconds, lambda: audio, words=words)

    return Corpus("noise", (utterance("s1/u1", 1.0), utterance("s2/u2", 0.7)))


@pytest.fixture(scope="module")
def computed(corpus):
    """Every utterance's frames by a small model, and the frame periods."""
    model = build_model("multi", "small")
    with torch.inference_mode():
        frames = {
            u.id: {n: x.numpy() for n, x in model(torch.from_numpy(u.audio)[None]).utterance(0).items()} for u in corpus
        }
    return model, frames, {layer.name: layer.frame_period for layer in model.layers}


@pytest.mark.parametrize("form", ["npz", "npy", "ark"])
def test_extraction_gives_the_vectors_of_the_model_itself(form, corpus, computed, tmp_path):
    model, frames, periods = computed
    found = load_model(f"features:{store(tmp_path / 'frames', frames, periods, form)}")
    assert [(layer.name, layer.frame_period, layer.dim) for layer in found.layers] == [
        (layer.name, layer.frame_period, layer.dim) for layer in model.layers
    ]
    segments = segment_table(corpus, frames=4, seed=0)
    expected = extract(model, corpus, segments, tmp_path / "a.zarr", progress=False)
    stored = extract(found, corpus, segments, tmp_path / "b.zarr", progress=False)
    for layer in ("conv", "middle.0", "decoder.0.1"):
        np.testing.assert_allclose(stored.vectors(layer, "word"), expected.vectors(layer, "word"), atol=1e-5)


def test_utterances_are_found_by_the_last_part_of_their_id(computed, tmp_path):
    _, frames, periods = computed
    flat = {name.partition("/")[2]: arrays for name, arrays in frames.items()}
    model = load_model(f"features:{store(tmp_path / 'flat', flat, periods)}")
    found = model.run(["s1/u1"], torch.zeros(1, 16_000)).utterance(0)
    np.testing.assert_array_equal(found["middle.1"].numpy(), frames["s1/u1"]["middle.1"])
    with pytest.raises(MultiresError, match="no frames of layer conv for the utterance s3/u9"):
        model.run(["s3/u9"], torch.zeros(1, 16_000))
    with pytest.raises(MultiresError, match="known utterances only"):
        model(torch.zeros(1, 16_000))


def test_what_does_not_fit_is_refused(computed, tmp_path):
    _, frames, periods = computed
    folder = store(tmp_path / "x", frames, periods)
    model = load_model(f"features:{folder}")
    with pytest.raises(MultiresError, match=r"49 frames, .* do not fit its 3\.00 s"):
        model.run(["s1/u1"], torch.zeros(1, 48_000))
    before = model.digest.clone()
    np.savez(folder / "more.npz", **frames["s1/u1"])
    assert not torch.equal(load_model(f"features:{folder}").digest, before)
    np.savez(folder / "s1" / "u1.npz", **{name: array[0] for name, array in frames["s1/u1"].items()})
    with pytest.raises(MultiresError, match=r"shape \(frames, dim\), not float32 \("):
        model.run(["s1/u1"], torch.zeros(1, 16_000))
    np.savez(folder / "s1" / "u1.npz", conv=np.array([{}], dtype=object))
    with pytest.raises(MultiresError, match="cannot read layer conv"):
        model.run(["s1/u1"], torch.zeros(1, 16_000))


@pytest.mark.parametrize(
    "text",
    [None, "[", "[]", '{"layers": {}}', '{"layers": {"a": {}}}', '{"layers": {"a": {"frame_period": 0}}}',
     '{"layers": {"../a": {"frame_period": 0.02}}}', '{"layers": {"a": {"frame_period": true}}}'],
)  # fmt: skip
def test_a_folder_without_a_usable_description(text, tmp_path):
    if text is not None:
        (tmp_path / "features.json").write_text(text)
    with pytest.raises(MultiresError, match=r"features\.json"):
        load_model(f"features:{tmp_path}")


def test_damaged_archives(computed, tmp_path):
    folder = store(tmp_path / "x", {}, {"a": 0.02})
    with pytest.raises(MultiresError, match="no arrays of layer a"):
        load_model(f"features:{folder}")
    good = b"u1 " + matrix(np.ones((50, 3), np.float32))
    for content, said in (
        (good[:-8], "truncated"), (good + good, "twice"), (b"u1 \0BCM \0\0\0\0", "uncompressed"), (b"x" * 2_000, "no Kaldi"),
        (good.replace(b"\4\x32", b"\5\x32", 1), "damaged"),
    ):  # fmt: skip
        (folder / "a.ark").write_bytes(content)
        with pytest.raises(MultiresError, match=said):
            load_model(f"features:{folder}")
