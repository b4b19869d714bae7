"""Whole frames of a sample of utterances: what is drawn, kept and refused."""

import numpy as np
import pytest
import torch

from multires.corpus import load_corpus
from multires.errors import MultiresError
from multires.features import frames as kept
from multires.features import windows
from multires.features.frames import item_table, keep_frames, spread_utterances
from multires.models import load_model


@pytest.fixture(scope="module")
def corpus():
    return load_corpus("synthetic", None, seed=0, hours=0.02, progress=False)


def test_the_sample_gives_every_speaker_one_utterance_before_a_second(corpus):
    speakers = {utterance.speaker for utterance in corpus if utterance.split == "evaluation"}
    few = spread_utterances(corpus, ("evaluation",), len(speakers), 0)
    assert {utterance.speaker for utterance in few} == speakers
    assert len(few) == len(speakers)
    assert [u.id for u in few] == [u.id for u in corpus if u.id in {each.id for each in few}]


def test_items_have_triphones_where_neighbors_are_phones(corpus):
    utterance = next(iter(corpus))
    table = item_table([utterance])
    phones = table[table["unit"] == "phone"]
    spoken = [phone for phone in utterance.phones if phone.label != "sil"]
    assert phones["label"].tolist() == [phone.label for phone in spoken]
    inner = phones[phones["triphone"] != ""].iloc[0]
    place = next(i for i, p in enumerate(utterance.phones) if p.start == inner["start"] and p.label == inner["label"])
    before, after = utterance.phones[place - 1], utterance.phones[place + 1]
    assert inner["triphone"] == f"{before.label} {after.label}"
    assert (inner["outer_start"], inner["outer_end"]) == (before.start, after.end)
    assert (table["unit"] == "word").sum() == len(utterance.words)


@pytest.mark.parametrize("held", [kept.HELD, 1])
def test_frames_are_the_models_own_in_one_pass_or_several(corpus, tmp_path, monkeypatch, held):
    monkeypatch.setattr(kept, "HELD", held)
    model = load_model("mel")
    few = list(corpus)[:3]
    store = keep_frames(model, few, model.layers, tmp_path / "frames")
    values, lengths = store.frames("mel")
    with torch.inference_mode():
        direct = [model(torch.from_numpy(u.audio)[None]).utterance(0)["mel"].numpy() for u in few]
    assert lengths.tolist() == [len(each) for each in direct]
    np.testing.assert_allclose(values, np.concatenate(direct), atol=1e-4)


def test_a_damaged_file_is_named_with_the_remedy(corpus, tmp_path):
    model = load_model("mfcc")
    store = keep_frames(model, list(corpus)[:1], model.layers, tmp_path / "frames")
    (store.path / "mfcc.npy").write_bytes(b"damaged")
    with pytest.raises(MultiresError, match=r"mfcc.npy is damaged: delete .*frames, and run again"):
        store.frames("mfcc")


def test_long_recordings_are_run_in_windows_and_joined(corpus, tmp_path, monkeypatch):
    model = load_model("mel")
    few = list(corpus)[:2]
    whole = keep_frames(model, few, model.layers, tmp_path / "whole").frames("mel")
    monkeypatch.setattr(windows, "LONG_SECONDS", 1.0)
    assert windows.is_long(few[0], model)
    cut = keep_frames(model, few, model.layers, tmp_path / "cut").frames("mel")
    assert cut[1].tolist() == whole[1].tolist()
    np.testing.assert_allclose(cut[0], whole[0], atol=1e-3)
