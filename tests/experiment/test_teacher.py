"""Teacher selection: the same units as training predicts, scored as scikit-learn does, and the shipped table."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from multires.corpus import load_corpus
from multires.corpus.utterance import Segment
from multires.errors import MultiresError
from multires.experiment.teacher import LAYERS, UNITS, compare_layers, frame_phones, teacher_table
from multires.models import load_model
from multires.training.speech import frame_count, load_speech
from multires.training.targets import layer_units

PREVIOUS = {"encoder.0.1": 0.549, "encoder.0.2": 0.591, "encoder.0.3": 0.623, "encoder.0.4": 0.496}
"""PNMI at 100 units by another script, before the command existed."""


@pytest.fixture(scope="module")
def speech():
    corpus = load_corpus("synthetic", hours=0.03, progress=False)
    held_out = [utterance for utterance in corpus if utterance.split == "evaluation"]
    return load_speech(corpus, ["train"], progress=False), held_out


def test_scores_are_those_of_the_units_that_training_predicts(speech):
    train, held_out = speech
    model = load_model("untrained/hubert-small")
    table = compare_layers(model, train, held_out, layers=["conv", "encoder.0.2"], units=[8], progress=False)
    found = table[table["measure"] == "pnmi"].set_index("layer")["value"]
    labeler = layer_units(train, model, "encoder.0.2", 8, seed=0, progress=False)
    units, phones = [], []
    for utterance in held_out:
        with torch.inference_mode():
            mine = labeler.quantizer(labeler.features(torch.from_numpy(utterance.audio))).numpy()
        for frame, unit in enumerate(mine):
            center = 0.02 * frame + 0.0125
            inside = [phone.label for phone in utterance.phones if phone.start <= center < phone.end]
            if inside:
                units.append(unit)
                phones.append(inside[0])
    entropy = mutual_info_score(phones, phones)
    assert found["encoder.0.2"] == pytest.approx(mutual_info_score(phones, units) / entropy, abs=1e-12)
    rows = table[table["measure"] == "pnmi"]
    assert (rows["n"] == len(phones)).all()
    assert (rows["low"] < rows["value"]).all()
    assert (rows["value"] < rows["high"]).all()


def test_phones_are_read_at_the_centers_of_frames():
    phones = [Segment("aa", 0.0, 0.0125), Segment("sil", 0.0125, 0.05), Segment("b", 0.06, 0.0725)]
    assert frame_phones(phones, frame_count(400 + 3 * 320)).tolist() == ["sil", "sil", "", ""]


def test_a_layer_that_is_not_there_is_named(speech):
    train, held_out = speech
    with pytest.raises(MultiresError, match=r"no 20 ms layer middle\.0: choose among conv, .*--layers"):
        compare_layers(load_model("untrained/multi-small"), train, held_out, layers=["middle.0"], progress=False)
    with pytest.raises(MultiresError, match="no development speaker has timed phones"):
        compare_layers(load_model("untrained/multi-small"), train, [], layers=["conv"], progress=False)


def test_the_shipped_table_chooses_the_fourth_layer():
    table = teacher_table()
    pnmi = table[table["measure"] == "pnmi"].set_index(["clusters", "layer"])["value"]
    assert sorted(pnmi.index) == sorted((count, layer) for count in UNITS for layer in LAYERS)
    for layer, value in PREVIOUS.items():
        assert pnmi[100, layer] == pytest.approx(value, abs=0.015)
    for count in UNITS:
        assert pnmi[count].idxmax() == "encoder.0.3"
    assert (pnmi[500] > pnmi[100]).all(), "more units, more information"
    shuffled = table[table["measure"] == "pnmi (shuffled)"].set_index(["clusters", "layer"])["value"]
    assert (np.array(shuffled) < 0.25).all()
    assert (pnmi.sub(shuffled) > 0.3).all()
