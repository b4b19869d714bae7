import numpy as np
import pytest

from multires.errors import MultiresError
from multires.measures.cca import cca_score
from multires.measures.cka import debiased_cka
from multires.measures.similarity_map import cca_map, cka_map


def model(rows=3000, dims=(12, 20, 8), seed=0, speakers=20):
    """Layers that each mix the one before with noise and a speaker's shift."""
    rng = np.random.default_rng(seed)
    speaker = np.arange(rows) % speakers
    x = rng.normal(size=(rows, dims[0])) * np.geomspace(1, 0.1, dims[0])
    layers = []
    for dim in dims:
        x = x @ rng.normal(size=(x.shape[1], dim)) / np.sqrt(x.shape[1]) + 0.4 * rng.normal(size=(rows, dim))
        layers.append(x + 0.5 * rng.normal(size=(speakers, dim))[speaker])
    return layers, speaker


def test_map_is_the_exact_estimator():
    layers, _ = model()
    found = cka_map(layers)
    exact = np.array([[debiased_cka(x, y) for y in layers] for x in layers])
    np.testing.assert_allclose(found.value, exact, atol=0.01)
    np.testing.assert_allclose(found.value, found.value.T)
    np.testing.assert_allclose(np.diag(found.value), 1)
    assert np.abs(found.baseline[~np.eye(3, dtype=bool)]).max() < 0.02
    assert found.n == 3000


def test_one_block_is_all_pairs():
    layers, _ = model(rows=200)
    exact = np.array([[debiased_cka(x, y) for y in layers] for x in layers])
    np.testing.assert_allclose(cka_map(layers).value, exact, atol=1e-3)


def test_map_between_models():
    (first, speaker), (second, _) = model(), model(seed=1)
    second = [first[1] + 0.1 * np.random.default_rng(0).normal(size=first[1].shape), *second[:1]]
    found = cka_map(first, second, clusters=speaker)
    assert found.value.shape == (3, 2)
    exact = np.array([[debiased_cka(x, y) for y in second] for x in first])
    np.testing.assert_allclose(found.value, exact, atol=0.01)
    assert found.replicates.shape == (500, 3, 2)


def test_interval_is_that_of_resampled_speakers():
    layers, speaker = model(rows=240, speakers=12)
    found = cka_map(layers, clusters=speaker, replicates=40)
    assert ((found.low <= found.value) & (found.value <= found.high)).all()
    centered = [x - x.mean(axis=0) for x in layers]
    grams = [x @ x.T for x in centered]
    draws = np.random.default_rng([0, 12]).multinomial(12, np.full(12, 1 / 12), size=40)
    for replicate, draw in zip(found.replicates, draws, strict=True):
        weight = np.outer(draw[speaker], draw[speaker]) * (1 - np.eye(240))
        hsic = np.array([[(weight * a * b).sum() for b in grams] for a in grams])
        expected = hsic / np.sqrt(np.outer(np.diag(hsic), np.diag(hsic)))
        np.testing.assert_allclose(replicate, expected, atol=1e-4)


def test_too_few_clusters_give_no_interval():
    layers, _ = model(rows=300)
    found = cka_map(layers, clusters=np.arange(300) % 4)
    assert np.isnan(found.low).all()
    assert len(found.replicates) == 0


def test_mean_cca_map():
    layers, speaker = model(rows=1500, speakers=40)
    found = cca_map(layers, clusters=speaker, replicates=50, max_rows=1000)
    np.testing.assert_allclose(found.value, found.value.T)
    np.testing.assert_allclose(np.diag(found.value), 1)
    assert found.n == 1000
    assert found.value[0, 1] > found.baseline[0, 1]
    assert found.low[0, 1] < found.value[0, 1] < found.high[0, 1]
    between = cca_map(layers[:1], layers[1:], max_rows=5000)
    assert between.value[0, 1] == pytest.approx(cca_score(layers[0], layers[2]).score)


def test_clear_errors():
    layers, _ = model(rows=100)
    for given, message in [
        ([layers[0], layers[1][:50]], "rows"),
        ([layers[0], np.ones((100, 3))], "does not vary"),
        ([layers[0], np.full((100, 3), np.nan)], "layer 1 has NaN"),
        ([], "rows"),
    ]:
        with pytest.raises(MultiresError, match=message):
            cka_map(given)
