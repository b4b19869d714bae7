import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from multires.errors import MultiresError
from multires.measures.abx import abx
from multires.measures.alignment import dtw_distances
from multires.measures.bootstrap import compare_replicates, draw_weights
from tests.measures.abx_reference import abx_error, dtw, frame_distances

DISTANCES = ("angular", "cosine", "euclidean")


def triphones(items=60, speakers=3, contexts=3, labels=3, dim=4, noise=1.0, seed=0):
    """Frames, spans, labels, speakers and contexts; each label, speaker and context shifts the frames."""
    rng = np.random.default_rng(seed)
    codes = [rng.integers(0, count, items) for count in (labels, speakers, contexts)]
    sizes = rng.integers(1, 7, items)
    means = sum(
        rng.normal(size=(count, dim))[code] for code, count in zip(codes, (labels, speakers, contexts), strict=False)
    )
    frames = np.repeat(means, sizes, axis=0) + noise * rng.normal(size=(sizes.sum(), dim))
    ends = np.cumsum(sizes)
    return (frames, np.stack([ends - sizes, ends], axis=1), *codes)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), distance=st.sampled_from(DISTANCES))
def test_alignment_is_dynamic_time_warping(seed, distance):
    rng = np.random.default_rng(seed)
    frames = rng.normal(size=(400, 5))
    start = rng.integers(0, 370, 40)
    spans = np.stack([start, start + rng.integers(1, 30, 40)], axis=1)
    pairs = rng.integers(0, 40, (60, 2))
    parts = [frames[a:b] for a, b in spans]
    expected = [dtw(frame_distances(parts[u], parts[v], distance)) for u, v in pairs]
    # Equal frames of overlapping items: the square root and the arc cosine lose half of the digits.
    np.testing.assert_allclose(dtw_distances(frames.astype(np.float32), spans, pairs, distance), expected, atol=2e-3)


def test_distances_do_not_depend_on_order_and_are_symmetric():
    frames, spans, *_ = triphones()
    frames = np.repeat(np.round(frames[::2]), 2, axis=0)[: len(frames)]  # repeated frames make equally good paths
    frames[(frames == 0).all(axis=1)] = 1
    pairs = np.random.default_rng(0).integers(0, len(spans), (200, 2))
    found = dtw_distances(frames, spans, pairs)
    order = np.random.default_rng(1).permutation(200)
    np.testing.assert_array_equal(dtw_distances(frames, spans, pairs[order]), found[order])
    np.testing.assert_allclose(dtw_distances(frames, spans, pairs[:, ::-1]), found, atol=1e-6)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("speakers", ["within", "across"])
def test_error_is_the_definition(speakers, distance):
    frames, spans, label, speaker, context = triphones(seed=3)
    found = abx(frames, spans, label, speaker, context, speakers=speakers, distance=distance, max_size=None, max_x=None)
    items = [frames[a:b] for a, b in spans]
    expected = abx_error(items, label, speaker, context, speakers, distance)
    assert found.error == pytest.approx(expected, abs=1e-6)
    assert 0 < found.error < 0.5


@pytest.mark.parametrize("speakers", ["within", "across"])
def test_error_is_that_of_fastabx(speakers):
    fastabx = pytest.importorskip("fastabx", reason="fastabx needs Python 3.12")
    frames, spans, label, speaker, context = triphones(items=400, speakers=5, contexts=4, labels=4, seed=1)
    found = abx(frames, spans, label, speaker, context, speakers=speakers, max_size=None, max_x=None)
    names = {"phone": label.astype(str), "speaker": speaker.astype(str), "context": context.astype(str)}
    import polars
    import torch
    from fastabx.dataset import InMemoryAccessor

    indices = {i: (int(a), int(b)) for i, (a, b) in enumerate(spans)}
    device = {"device": torch.device("cpu")} if "device" in inspect.signature(InMemoryAccessor).parameters else {}
    accessor = InMemoryAccessor(indices, torch.from_numpy(frames.astype(np.float32)), **device)
    dataset = fastabx.Dataset(labels=polars.DataFrame(names), accessor=accessor)
    by, across = (["context", "speaker"], None) if speakers == "within" else (["context"], ["speaker"])
    task = fastabx.Task(dataset, on="phone", by=by, across=across)
    reference = fastabx.Score(task, "angular")
    assert found.error == pytest.approx(reference.collapse(levels=["context", "speaker"]), abs=1e-6)
    assert len(found.cells) == len(task)
    assert found.n == reference.cells["size"].sum()


def test_words_need_no_context():
    frames, spans, label, speaker, _ = triphones(items=80, labels=8)
    found = abx(frames, spans, label, speaker, max_size=None)
    expected = abx_error([frames[a:b] for a, b in spans], label, speaker, np.zeros(80), "within", "angular")
    assert found.error == pytest.approx(expected, abs=1e-6)
    few = abx(frames, spans, label, speaker, max_size=None, max_others=2)
    assert few.cells.table().groupby(["label", "speaker"], observed=True).size().max() == 2
    assert few.error == pytest.approx(expected, abs=0.06)


def test_gaussians_have_their_closed_form():
    # With one frame in one dimension, X is closer to B than to A with a probability that follows from normal pairs:
    # |x - a| > |x - b| depends on a - b and a + b - 2x, two independent normal variables.
    gap, n = 1.5, 3000
    rng = np.random.default_rng(0)
    label = np.arange(n) % 2
    frames = (rng.normal(size=n) + gap * label)[:, None]
    spans, speaker = np.arange(n)[:, None] + [0, 1], np.arange(n) // 100
    found = abx(frames, spans, label, speaker, speakers="across", distance="euclidean", max_size=30, max_x=3)
    first, second = gap / np.sqrt(2), gap / np.sqrt(6)
    expected = 1 - (norm.cdf(first) * norm.cdf(second) + norm.cdf(-first) * norm.cdf(-second))
    assert found.error == pytest.approx(expected, abs=0.02)
    assert found.interval[0] < expected < found.interval[1]


def test_unrelated_labels_and_the_baseline_are_at_chance():
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(2000, 3))
    spans, speaker = np.arange(2000)[:, None] + [0, 1], np.arange(2000) // 100
    unrelated = abx(frames, spans, rng.integers(0, 3, 2000), speaker)
    assert unrelated.interval[0] < 0.5 < unrelated.interval[1]
    frames, spans, label, speaker, context = triphones(items=3000, speakers=10, noise=0.3)
    for speakers in ("within", "across"):
        found = abx(frames, spans, label, speaker, context, speakers=speakers)
        assert found.error < 0.3
        assert found.baseline == pytest.approx(0.5, abs=0.03)
        assert found.score == 1 - found.error


def test_equal_items_are_half_an_error():
    frames = np.ones((40, 2))
    found = abx(frames, np.arange(40)[:, None] + [0, 1], np.arange(40) % 2, np.arange(40) // 4)
    assert found.error == 0.5
    assert found.interval == (0.5, 0.5)


def test_replicates_are_errors_of_resampled_cells():
    frames, spans, label, speaker, context = triphones(items=400, speakers=8, contexts=4)
    found = abx(frames, spans, label, speaker, context, speakers="across", replicates=3, baseline=False)
    table = found.cells.table()
    draws, contexts = draw_weights(8, 3, 0), draw_weights(4, 3, 1)
    for replicate, draw, other in zip(found.bootstrap.replicates, draws, contexts, strict=True):
        weight = dict(zip(found.cells.speakers, draw, strict=True))
        weight_context = dict(zip(found.cells.contexts, other, strict=True))
        pairs = []
        for _, pair in table.groupby(["label", "other"], observed=True):
            means, weights = [], []
            for name, part in pair.groupby("speaker", observed=True):
                inner = part["speaker_x"].map(weight).astype(float) * part["context"].map(weight_context).astype(float)
                if inner.sum() and weight[name]:
                    means.append(np.average(part["error"], weights=inner))
                    weights.append(weight[name])
            if weights:
                pairs.append(np.average(means, weights=weights))
        assert replicate == pytest.approx(np.mean(pairs))


def test_triples_do_not_depend_on_frames_so_that_layers_pair():
    frames, spans, label, speaker, context = triphones(items=1500, speakers=10, noise=2.0)
    rng = np.random.default_rng(5)
    first, second = (
        abx(values, spans, label, speaker, context, max_size=4, speakers="across", baseline=False)
        for values in (frames, frames + 0.2 * rng.normal(size=frames.shape))
    )
    np.testing.assert_array_equal(first.cells.size, second.cells.size)
    low, high = compare_replicates(first.error - second.error, first.bootstrap.replicates, second.bootstrap.replicates)
    assert high - low < first.interval[1] - first.interval[0]
    again = abx(frames, spans, label, speaker, context, max_size=4, speakers="across", baseline=False)
    assert again.error == first.error
    assert again.interval == first.interval


def test_limits_bound_cells():
    frames, spans, label, speaker, context = triphones(items=1200, speakers=6, contexts=1)
    found = abx(frames, spans, label, speaker, context, speakers="across", max_size=5, max_x=2, baseline=False)
    table = found.cells.table()
    assert (table["size"] == 125).all()
    assert table.groupby(["label", "other", "speaker"], observed=True)["speaker_x"].nunique().eq(2).all()
    assert set(found.by_speaker()["speaker"]) == set(map(str, range(6)))
    assert np.isnan(found.interval).all(), "six speakers are too few"


def test_half_precision_and_memory_maps_serve(tmp_path):
    frames, spans, label, speaker, context = triphones(items=300)
    path = tmp_path / "frames.npy"
    np.save(path, frames.astype(np.float16))
    mapped = np.load(path, mmap_mode="r")
    found = abx(mapped, spans, label, speaker, context)
    assert found.error == pytest.approx(abx(frames, spans, label, speaker, context).error, abs=5e-3)


def test_rows_are_tidy():
    frames, spans, label, speaker, context = triphones(items=300)
    rows = abx(frames, spans, label, speaker, context).rows(layer="middle.1")
    assert [row["measure"] for row in rows] == ["abx within speakers", "abx within speakers (shuffled)"]
    assert all(row["layer"] == "middle.1" for row in rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speakers": "all"}, "unknown speakers"),
        ({"distance": "kl"}, "unknown distance"),
        ({"max_size": 0}, "max_size is 0"),
        ({"spans": np.array([[0, 0]] * 60)}, "item 0 has the span"),
        ({"spans": np.array([[0, 9999]] * 60)}, "item 0 has the span"),
        ({"spans": np.zeros((60, 2))}, "give integers"),
        ({"frames": np.zeros(5)}, "give floats"),
        ({"frames": np.zeros((400, 2))}, "zero vector"),
        ({"frames": np.full((400, 2), np.nan), "distance": "euclidean"}, "not finite"),
        ({"labels": np.zeros(60)}, "no triple"),
        ({"labels": np.zeros(3)}, "one for each of the 60"),
    ],
)
def test_clear_errors(change, message):
    frames, spans, label, speaker, context = triphones()
    given = {"frames": frames, "spans": spans, "labels": label, "speaker": speaker, "context": context, **change}
    with pytest.raises(MultiresError, match=message):
        abx(**given)
