import numpy as np
import pytest
import soundfile

from multires.errors import MultiresError
from multires.experiment.speech import TRAINING_SPEAKERS, assign_roles, load_experiment_speech


def test_no_speaker_has_two_roles_and_all_have_one():
    speakers = [("test-clean", str(i)) for i in range(1000, 1036)]
    speakers += [("train-clean-100", s) for s in TRAINING_SPEAKERS]
    speakers += [("train-clean-100", str(i)) for i in range(5000, 5244)] + [("test-other", str(i)) for i in range(7)]
    roles = assign_roles(speakers)
    sets = [set(roles.pretraining), set(roles.fit), set(roles.development), set(roles.test)]
    assert sum(map(len, sets)) == len(set.union(*sets)) == len(speakers)
    assert set(TRAINING_SPEAKERS) < sets[0]
    assert len(sets[0]) == 30 + 7
    assert {str(i) for i in range(7)} < sets[3]
    assert len(sets[3]) == round(0.55 * 244) + 7
    assert assign_roles(reversed(speakers)) == roles


def _write(root, split, speaker, count=1, seed=0):
    folder = root / "LibriSpeech" / split / speaker / "1"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for i in range(count):
        soundfile.write(folder / f"{speaker}-1-{i:04d}.flac", 0.1 * rng.normal(size=8000), 16_000)
    return root


def test_parts_of_the_corpus_in_several_folders_are_one(tmp_path):
    for i, speaker in enumerate(range(20, 32)):
        _write(tmp_path / "a", "test-clean", str(speaker), seed=i)
    _write(tmp_path / "b", "train-clean-100", "19", seed=90)
    _write(tmp_path / "b", "train-clean-100", "7000", seed=91)
    corpus, roles = load_experiment_speech([tmp_path / "a", tmp_path / "b"], progress=False)
    assert len(corpus) == 14
    assert set(roles.fit) >= {"25", "31"}
    assert "19" in roles.pretraining
    with pytest.raises(MultiresError, match="in two of the folders"):
        load_experiment_speech([tmp_path / "b", tmp_path / "b"], progress=False)
    with pytest.raises(MultiresError, match="holds none of test-clean"):
        load_experiment_speech(tmp_path, progress=False)
