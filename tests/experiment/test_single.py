"""`multires pretrain`: a model from a corpus, by the machinery of the experiment."""

import pytest

from multires.errors import MultiresError
from multires.experiment.single import train_one
from multires.models import load_model
from multires.training.records import training_log


@pytest.mark.slow
def test_a_model_is_trained_and_can_be_named(tmp_path, capsys, monkeypatch):
    path = train_one("multi+aux", size="smoke", steps=4, seed=3, out=tmp_path, progress=False)
    assert "1 models of about" in capsys.readouterr().out
    assert path == tmp_path / "synthetic" / "single" / "models" / "multi+aux-3.safetensors"
    log = training_log(path)
    assert log["step"].max() == 4
    assert set(log["frame_period"]) == {0.02, 0.04}
    assert load_model(path).trained
    made = path.stat().st_mtime_ns
    assert train_one("multi+aux", size="smoke", steps=4, seed=3, out=tmp_path, progress=False) == path
    assert path.stat().st_mtime_ns == made  # a second call does nothing


@pytest.mark.parametrize("steps", [4, 1])
def test_an_estimate_trains_nothing(steps, tmp_path, capsys):
    path = train_one(size="smoke", steps=steps, out=tmp_path, estimate_only=True, progress=False)
    assert f"{steps} steps" in capsys.readouterr().out
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"condition": "stereo"}, "unknown condition 'stereo': choose one of hubert, mono, "),
        ({"corpus": "radio"}, "unknown corpus 'radio': choose one of synthetic, librispeech"),
        ({"size": "huge"}, "unknown size 'huge': choose one of "),
        ({"corpus": "librispeech"}, "corpus 'librispeech' is read from a folder"),
        ({"corpus": "librispeech", "data": "/no/such"}, "/no/such"),
    ],
)
def test_wrong_parameters_stop_at_once(tmp_path, arguments, message):
    with pytest.raises(MultiresError, match=message):
        train_one(**{"out": tmp_path, "progress": False, **arguments})
