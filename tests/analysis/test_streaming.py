"""One pass over a corpus against the same scores from arrays that hold every frame."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from multires.analysis.streaming import accumulate, model_cca
from multires.analysis.streaming_plan import Plan
from multires.analysis.streaming_settings import Settings
from multires.analysis.streaming_statistics import ModelStatistics
from multires.corpus import Corpus, load_corpus
from multires.corpus.utterance import Segment, Utterance
from multires.errors import MultiresError
from multires.features import windows
from multires.features.pooling import pool
from multires.measures import cca_score, choose_trials
from multires.models import build_model, load_model
from tests.features.local import Local
from tests.measures import protocol_reference as reference

SETTINGS = {"folds": 5, "trials": 2, "seed": 3, "layers": ("conv", "middle.0"), "word_types": 10}


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    whole = load_corpus("synthetic", hours=0.02, progress=False)
    held = [replace(u, read=lambda audio=u.audio: audio) for u in whole.utterances[::2]]
    return replace(whole, utterances=held)


@pytest.fixture(scope="module")
def model():
    return build_model("multi", "small")


@pytest.fixture(scope="module")
def frames(corpus, model):
    """Every layer's frames and log-mel's, utterance by utterance."""
    mel = load_model("mel")
    found = []
    for utterance in corpus:
        audio = torch.from_numpy(utterance.audio)[None]
        with torch.inference_mode():
            found.append({k: v.numpy() for m in (model, mel) for k, v in m(audio).utterance(0).items()})
    return found


@pytest.fixture(scope="module")
def whole(corpus, model):
    return accumulate(model, corpus, views=("mel", "conv", "phone"), progress=False, **SETTINGS)


def test_frame_scores_are_those_of_the_protocol_on_all_frames(corpus, model, frames, whole):
    x, y, folds = [], [], []
    plan = Plan.of(model, corpus, Settings(views=("mel", "conv", "phone"), **SETTINGS))
    for index, found in enumerate(frames):
        rows = min(len(found["middle.0"]), len(found["mel"]) // 4)
        x.append(found["middle.0"][:rows])
        y.append(found["mel"][: 4 * rows].reshape(rows, 4, -1).mean(1))
        folds.append(np.full(rows, plan.fold_of_utterance[index]))
    pairs = [(1e-10, 1e-10), (1e-9, 1e-9)]
    expected = reference.cross_validated(
        np.concatenate(x).astype(float), np.concatenate(y).astype(float), np.concatenate(folds), choose_trials(2, 5, 3),
        lambda trial: pairs, reference.textbook_train, reference.textbook_score,
    )  # fmt: skip
    result = whole.score("mean", epsilons=pairs)["middle.0", "mel", 40]
    np.testing.assert_allclose(result.trial_scores, expected, atol=2e-5)
    assert result.n == sum(map(len, x))


@pytest.mark.parametrize("variant", ["pwcca", "layerwise-analysis"])
def test_phone_scores_are_those_of_arrays(corpus, model, frames, variant):
    streamed = accumulate(model, corpus, views=("phone",), group_by="segment", progress=False, **SETTINGS)
    x, labels = [], []
    for utterance, found in zip(corpus, frames, strict=True):
        phones = [phone for phone in utterance.phones if phone.label != "sil"]
        starts, ends = np.array([p.start for p in phones]), np.array([p.end for p in phones])
        x.append(pool(found["middle.0"], starts, ends, 0.04))
        labels += [phone.label for phone in phones]
    expected = cca_score(
        np.concatenate(x), np.array(labels), variant=variant, folds=5, trials=2, seed=3, baseline=False
    )
    result = streamed.score(variant)["middle.0", "phone", None]
    assert result.score == pytest.approx(expected.score, abs=2e-4)
    assert (result.n, result.dim_y) == (expected.n, expected.dim_y)
    assert abs(result.baseline) < 0.3


def test_machines_and_interruptions_change_nothing(corpus, model, whole, tmp_path, monkeypatch):
    common = {"views": ("mel", "conv", "phone"), "progress": False, **SETTINGS}
    first, second = (accumulate(model, corpus, part=(i, 2), **common) for i in range(2))
    with pytest.raises(MultiresError, match="are in both"):
        first + first
    merged = second + ModelStatistics.load(first.save(tmp_path / "first"))
    assert merged.done == whole.done == {utterance.id for utterance in corpus}
    monkeypatch.setattr("multires.analysis.streaming._CHUNK_SECONDS", 10.0)
    saved, save = [], ModelStatistics.save

    def interrupted(self, folder):
        save(self, folder)
        saved.append(folder)
        if len(saved) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(ModelStatistics, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        accumulate(model, corpus, save_to=tmp_path / "state", **common)
    assert 0 < len(ModelStatistics.load(tmp_path / "state").done) < len(corpus)
    resumed = accumulate(model, corpus, save_to=tmp_path / "state", **common)
    with pytest.raises(MultiresError, match="another model, corpus or choice"):
        accumulate(model, corpus, save_to=tmp_path / "state", **{**common, "seed": 4})
    with pytest.raises(MultiresError, match="cannot be merged"):
        first.merge(accumulate(model, corpus, part=(1, 2), **{**common, "seed": 4}))
    for other in (merged, resumed):
        for place, result in whole.score("mean").items():
            assert other.score("mean")[place].score == pytest.approx(result.score, abs=1e-5)
        assert other.nbytes == whole.nbytes


@pytest.mark.parametrize("group_by", ["utterance", "speaker"])
def test_long_utterances_are_counted_in_pieces_as_they_are_whole(corpus, monkeypatch, group_by):
    common = {
        **SETTINGS, "views": ("mel", "phone", "word"), "group_by": group_by, "progress": False, "folds": 4,
        "layers": None, "batch_seconds": 1.0,
    }  # fmt: skip
    together = accumulate(Local(), corpus, **common)
    monkeypatch.setattr(windows, "LONG_SECONDS", 1.5)
    monkeypatch.setattr(windows, "CONTEXT_SECONDS", 0.4)
    assert sum(windows.is_long(utterance, Local()) for utterance in corpus) > len(corpus) / 2
    pieces = accumulate(Local(), corpus, **common)
    assert pieces.done == together.done
    expected, found = together.score("mean"), pieces.score("mean")
    assert {place[:2] for place in found} == {(n, v) for n in ("conv", "middle.0") for v in ("mel", "phone", "word")}
    for place, result in expected.items():
        assert found[place].n == result.n
        assert found[place].score == pytest.approx(result.score, abs=1e-4)


def test_in_pieces_each_segment_and_each_frame_is_counted_once_across_the_seams():
    utterance = Utterance(
        "a", "s", "train", 4.0, lambda: np.zeros(64_000, np.float32),
        phones=(Segment("a", 0.1, 1.3), Segment("b", 1.3, 2.9), Segment("c", 2.9, 3.9)),
    )  # fmt: skip
    alone = Corpus("toy", [utterance], fingerprint="toy")
    plan = Plan.of(Local(), alone, Settings(views=("mel", "phone"), folds=1, trials=1))
    rng = np.random.default_rng(0)
    whole = {
        "model": {"conv": rng.normal(size=(200, 1)), "middle.0": rng.normal(size=(100, 1))},
        "mel": {"mel": rng.normal(size=(400, 80))},
    }

    def part(first, past):
        cut = {("model", "conv"): 50, ("model", "middle.0"): 25, ("mel", "mel"): 100}
        found: dict = {"model": {}, "mel": {}}
        for (name, layer), rate in cut.items():
            found[name][layer] = whole[name][layer][first * rate : past * rate].astype(np.float32)
        return found

    statistics = [ModelStatistics.empty(plan) for _ in range(3)]
    statistics[0].update(plan, [part(0, 4)], [0])
    statistics[1].update_in_pieces(plan, [part(0, 4)], 0)
    statistics[2].update_in_pieces(plan, [part(0, 1), part(1, 3), part(3, 4)], 0)
    for each in statistics[1:]:
        for place, expected in statistics[0].parts.items():
            found = each.parts[place]
            np.testing.assert_array_equal(found.count, expected.count)
            np.testing.assert_allclose(found.xx, expected.xx, rtol=1e-6)
            for view in ("mel", "phone"):
                if view in expected.xy:
                    np.testing.assert_allclose(found.xy[view], expected.xy[view], atol=1e-5)
    broken = part(3, 4)
    broken["model"]["conv"][0] = np.nan
    with pytest.raises(MultiresError, match=r"a: layer conv has NaN or infinity at 3\.00 s"):
        ModelStatistics.empty(plan).update_in_pieces(plan, [part(0, 3), broken], 0)


def test_every_view_has_scores_intervals_and_baselines(corpus, model, tmp_path):
    words = sorted({word.label for utterance in corpus for word in utterance.words})
    rng = np.random.default_rng(0)
    file = tmp_path / "vectors.txt"
    file.write_text("".join(f"{word} {' '.join(map(str, rng.normal(size=3)))}\n" for word in words[::2]))
    table = model_cca(
        model, corpus, views=("mel", "conv", "layer", "phone", "word", "part_of_speech", "word_vectors"),
        other=build_model("multi3", "small"), word_vectors=file, group_by="speaker", progress=False,
        variant="mean", settings={"replicates": 20}, other_layer="middle.0", **{**SETTINGS, "folds": 4, "trials": 1},
    )  # fmt: skip
    scores = table[(table["measure"] == "mean") & table["trial"].isna()]
    assert set(scores["view"]) == {"mel", "conv", "layer", "phone", "word", "part_of_speech", "word_vectors"}
    assert set(scores[scores["view"] == "layer"]["window"]) == {80}, "the other layer has 80 ms frames"
    assert set(scores[scores["view"] == "mel"]["window"]) == {20, 40}
    assert "conv" not in set(scores[scores["layer"] == "conv"]["view"])
    assert set(table[table["measure"] == "shuffled"].groupby(["layer", "view"]).size()) == {1}
    assert scores["value"].between(-1, 1).all()
    assert (scores["n"] > 0).all()


def test_intervals_hold_the_score(corpus, model):
    found = accumulate(model, corpus, views=("phone",), folds=1, layers=("middle.0",), progress=False)
    result = found.score("mean", replicates=50)["middle.0", "phone", None]
    assert result.interval is not None
    assert result.interval[0] < result.score < result.interval[1]
    assert len(result.bootstrap.clusters) == 12, "fifteen utterances in twelve blocks"


def test_a_coarser_window_leaves_out_nothing_and_a_finer_one_the_coarse_layers(corpus, model):
    for window, layers in ((0.08, {"conv", "middle.0"}), (0.02, {"conv"})):
        found = accumulate(model, corpus, views=("mel",), window=window, progress=False, **SETTINGS)
        assert {(layer, group) for layer, group in found.parts} == {(n, f"frame{window * 1000:.0f}") for n in layers}


def test_errors_name_what_is_wrong(corpus, model):
    for choice, message in [
        ({"views": ("tone",)}, "unknown view"),
        ({"views": ("layer",)}, "give other"),
        ({"views": ("word_vectors",)}, "give word_vectors"),
        ({"views": ("mel",), "group_by": "day"}, "unknown group_by"),
        ({"views": ("mel",), "layers": ("middle.9",)}, "no layer middle.9"),
        ({"views": ("mel",), "window": 0.0}, "window is 0"),
        ({"views": ("mel",), "blocks": 0}, "blocks is 0"),
        ({"views": ("mel",), "part": (2, 2)}, "part is"),
        ({"views": ("mel",), "window": 0.01, "layers": ("middle.0",)}, "nothing to compare"),
    ]:
        with pytest.raises(MultiresError, match=message):
            accumulate(model, corpus, progress=False, **choice)
    broken = build_model("multi", "small")
    with torch.no_grad():
        next(broken.middle.layers[0].parameters()).fill_(float("nan"))
    with pytest.raises(MultiresError, match=r"layer middle\.0 has NaN or infinity at 0\.00 s"):
        accumulate(broken, corpus, views=("mel",), layers=("middle.0",), progress=False)
