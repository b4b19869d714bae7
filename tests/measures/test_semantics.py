import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from multires.errors import MultiresError
from multires.measures.bootstrap import draw_weights
from multires.measures.semantics import rsa, word_similarity


def judged(words=40, noise=0.2, seed=0):
    rng = np.random.default_rng(seed)
    vectors = {f"w{i}": rng.normal(size=8) for i in range(words)}
    chosen = rng.permutation(words * (words - 1) // 2)[:150]
    pairs = [(f"w{a}", f"w{b}") for a, b in np.stack(np.triu_indices(words, 1), axis=1)[chosen]]
    cosine = [vectors[a] @ vectors[b] / np.linalg.norm(vectors[a]) / np.linalg.norm(vectors[b]) for a, b in pairs]
    return vectors, pairs, np.array(cosine) + noise * rng.normal(size=len(pairs)), np.array(cosine)


def test_word_similarity_is_scipys_correlation():
    vectors, pairs, judgments, cosine = judged()
    found = word_similarity(vectors, [*pairs, ("w1", "unknown")], [*judgments, 0.5], replicates=100)
    assert found.value == pytest.approx(spearmanr(cosine, judgments).statistic)
    assert (found.n, found.left_out) == (len(pairs), 1)
    assert found.bootstrap.low < found.value < found.bootstrap.high
    assert abs(found.shuffled) < 0.2
    assert [row["measure"] for row in found.rows()] == ["spearman", "spearman (shuffled)"]


@pytest.mark.parametrize("geometry", ["cosine", "euclidean"])
def test_rsa_is_the_correlation_of_distances(geometry):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 6))
    y = x @ rng.normal(size=(6, 10)) + rng.normal(size=(80, 10))
    found = rsa(x, y, geometry=geometry)
    assert found.value == pytest.approx(spearmanr(pdist(x, geometry), pdist(y, geometry)).statistic)
    assert found.bootstrap.low < found.value < found.bootstrap.high
    assert abs(found.shuffled) < 0.1


def test_rsa_resamples_speakers_with_fixed_ranks():
    rng = np.random.default_rng(0)
    x, speaker = rng.normal(size=(60, 4)), np.arange(60) % 10
    y = x + 0.5 * rng.normal(size=(60, 4))
    found = rsa(x, y, speaker, replicates=3)
    i, j = np.triu_indices(60, 1)
    ranks = [pdist(v, "cosine").argsort().argsort() for v in (x, y)]
    for replicate, draw in zip(found.bootstrap.replicates, draw_weights(10, 3, 0), strict=True):
        weight = draw[speaker][i] * draw[speaker][j]
        a, b = (rank - np.average(rank, weights=weight) for rank in ranks)
        expected = (weight * a * b).sum() / np.sqrt((weight * a * a).sum() * (weight * b * b).sum())
        assert replicate == pytest.approx(expected)


def test_rsa_takes_a_sample_of_many_items():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 4))
    found = rsa(x, x + 0.3 * rng.normal(size=x.shape), max_items=100)
    assert (found.n, found.left_out) == (100 * 99 // 2, 2900)
    assert found.value > 0.7


def test_clear_errors():
    vectors, pairs, judgments, _ = judged()
    for call, message in [
        (lambda: word_similarity(vectors, pairs, judgments[:3]), "one for each"),
        (lambda: word_similarity({}, pairs, judgments), "give more words"),
        (lambda: word_similarity({w: 0 * v for w, v in vectors.items()}, pairs, judgments), "zero or not finite"),
        (lambda: rsa(np.ones((5, 2)), np.ones((4, 2))), "5 and 4 items"),
        (lambda: rsa(np.zeros((5, 2)), np.eye(5)), "row of zeros"),
        (lambda: rsa(np.eye(5), np.eye(5)), "equal"),
        (lambda: rsa(np.eye(5), np.eye(5), geometry="city"), "unknown geometry"),
    ]:
        with pytest.raises(MultiresError, match=message):
            call()
