import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler
from torch.nn import functional

from multires.errors import MultiresError
from multires.measures import probe
from multires.measures.probe import ctc_probe, linear_probe, ratio_interval, weighted_sum_probe


def gaussians(classes=8, dim=12, n=1500, distance=1.0, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, dim)) * distance
    mixing = rng.normal(size=(dim, dim)) * 0.8 ** np.arange(dim)[:, None]
    y = rng.integers(0, classes, n)
    return (centres[y] + rng.normal(size=(n, dim))) @ mixing, y


@pytest.mark.parametrize("decay", [1e-2, 1e-4])
def test_fit_reaches_the_minimum_scikit_learn_finds(decay):
    x, y = gaussians()
    x = StandardScaler().fit_transform(x).astype(np.float32)
    ours = probe._fit(torch.from_numpy(x)[None], y, 8, decay, tolerance=1e-9)
    theirs = LogisticRegression(C=1 / (decay * len(y)), tol=1e-8, max_iter=5000).fit(x.astype(np.float64), y)
    ours_logits = x @ ours.weight.numpy() + ours.offset.numpy()
    assert np.allclose(torch.from_numpy(ours_logits).softmax(1), theirs.predict_proba(x), atol=5e-3)

    def objective(weight, offset):
        loss = functional.cross_entropy(torch.from_numpy(x @ weight + offset), torch.from_numpy(y))
        return float(loss) + 0.5 * decay * float((weight**2).sum())

    best = objective(theirs.coef_.T, theirs.intercept_)
    assert objective(ours.weight.numpy(), ours.offset.numpy()) == pytest.approx(best, rel=1e-4)
    default = probe._fit(torch.from_numpy(x)[None], y, 8, decay)
    assert objective(default.weight.numpy(), default.offset.numpy()) == pytest.approx(best, rel=2e-3)


def test_linear_probe_scores_as_scikit_learn_does():
    x, y = gaussians(n=3000)
    names = np.array([f"phone{i}" for i in range(8)])[y]
    result = linear_probe(x[:2000], names[:2000], x[2000:], names[2000:], seed=0)
    scaler = StandardScaler().fit(x[:2000])
    model = LogisticRegression(C=1 / (result.decay * 2000), max_iter=5000).fit(scaler.transform(x[:2000]), names[:2000])
    guess = model.predict(scaler.transform(x[2000:]))
    assert result.accuracy == pytest.approx((guess == names[2000:]).mean(), abs=0.005)
    assert result.balanced_accuracy == pytest.approx(balanced_accuracy_score(names[2000:], guess), abs=0.005)
    common = max(set(names[:2000]), key=list(names[:2000]).count)
    assert result.majority == pytest.approx((names[2000:] == common).mean())
    assert result.low < result.accuracy < result.high
    assert abs(result.shuffled - 1 / 8) < 0.05
    assert (result.n_train, result.n_test, result.n_labels, result.n_unseen) == (2000, 1000, 8, 0)


def test_labels_that_carry_nothing_score_at_chance():
    x, y = gaussians(n=3000)
    y = np.random.default_rng(1).permutation(y)
    result = linear_probe(x[:2000], y[:2000], x[2000:], y[2000:], seed=0)
    assert abs(result.accuracy - 1 / 8) < 0.04


def test_labels_unseen_in_training_are_counted_and_wrong():
    x, y = gaussians(distance=50.0)
    test_y = y[1000:].copy()
    test_y[:50] = 99
    result = linear_probe(x[:1000], y[:1000], x[1000:], test_y, seed=0)
    assert result.n_unseen == 50
    assert result.accuracy == pytest.approx(450 / 500)


def test_decay_is_chosen_on_groups_kept_out():
    groups = np.repeat(np.arange(10), 30)
    mask = probe._held_out(300, groups, np.random.default_rng(0))
    assert mask.sum() == 60
    assert not set(groups[mask]) & set(groups[~mask])


def test_strong_noise_wants_strong_decay():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 200))
    y = (x[:, 0] + rng.normal(size=600) > 0).astype(int)
    noisy = linear_probe(x[:300], y[:300], x[300:], y[300:], seed=0, decays=(1.0, 1e-1, 1e-2, 1e-6))
    assert noisy.decay >= 1e-2


def test_same_seed_same_result():
    x, y = gaussians()
    first, second = (linear_probe(x[:1000], y[:1000], x[1000:], y[1000:], seed=3) for _ in range(2))
    assert first == second


def test_scaling_and_shifting_dimensions_changes_nothing():
    x, y = gaussians()
    moved = x * np.geomspace(1e-3, 1e3, x.shape[1]) + 100
    plain = linear_probe(x[:1000], y[:1000], x[1000:], y[1000:], seed=0)
    assert linear_probe(moved[:1000], y[:1000], moved[1000:], y[1000:], seed=0).accuracy == pytest.approx(
        plain.accuracy, abs=0.004
    )


def test_constant_dimensions_are_harmless():
    x, y = gaussians()
    flat = np.concatenate([x, np.full((len(x), 3), 7.0)], axis=1)
    plain = linear_probe(x[:1000], y[:1000], x[1000:], y[1000:], seed=0)
    assert linear_probe(flat[:1000], y[:1000], flat[1000:], y[1000:], seed=0).accuracy == pytest.approx(plain.accuracy)


def test_bootstrap_interval_covers_the_cluster_mean_formula():
    rng = np.random.default_rng(0)
    rates = rng.uniform(0.3, 0.9, 40)
    right = (rng.random((40, 500)) < rates[:, None]).astype(float)
    clusters = np.repeat(np.arange(40), 500)
    low, high = ratio_interval(right.ravel(), np.ones(right.size), clusters, seed=0, resamples=4000)
    error = right.mean(1).std(ddof=1) / np.sqrt(40)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    single = ratio_interval(right.ravel(), np.ones(right.size), seed=0)
    assert single[1] - single[0] < (high - low) / 3


def test_one_cluster_gives_no_interval():
    assert np.isnan(ratio_interval(np.ones(5), np.ones(5), ["a"] * 5, seed=0)).all()


def test_weighted_sum_finds_the_layer_that_knows():
    rng = np.random.default_rng(0)
    x, y = gaussians(n=2000)
    layers = rng.normal(size=(4, *x.shape))
    layers[2] = x
    result = weighted_sum_probe(layers[:, :1500], y[:1500], layers[:, 1500:], y[1500:], seed=0)
    alone = linear_probe(x[:1500], y[:1500], x[1500:], y[1500:], seed=0)
    assert result.weights is not None
    assert sum(result.weights) == pytest.approx(1, abs=1e-5)
    assert np.argmax(result.weights) == 2
    assert result.weights[2] > 0.9
    assert result.accuracy == pytest.approx(alone.accuracy, abs=0.03)


def test_gradient_of_the_weighted_sum_matches_autograd(monkeypatch):
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(3, 60, 5)).astype(np.float32))
    y = rng.integers(0, 4, 60)
    seen = {}
    monkeypatch.setattr(probe, "minimize", lambda f, first, **_: seen.update(f=f, n=len(first)) or _Found(first))
    probe._fit(x, y, 4, 1e-2)
    point = rng.normal(size=seen["n"]) * 0.3
    _, gradient = seen["f"](point)
    step = 1e-3
    numeric = [
        (seen["f"](point + step * e)[0] - seen["f"](point - step * e)[0]) / (2 * step) for e in np.eye(len(point))
    ]
    assert np.allclose(gradient, numeric, atol=2e-3)


class _Found:
    def __init__(self, x):
        self.x = x


def spelled(n, seed, rate=6):
    """Utterances in which each label holds for some frames as a noisy one-hot vector."""
    rng = np.random.default_rng(seed)
    frames, labels = [], []
    for _ in range(n):
        word = rng.integers(0, 5, rng.integers(4, 9))
        word = word[np.r_[True, word[1:] != word[:-1]]]
        held = np.repeat(word, rng.integers(2, rate, len(word)))
        frames.append(np.eye(5)[held] + 0.1 * rng.normal(size=(len(held), 5)))
        labels.append(["abcde"[i] for i in word])
    return frames, labels


def test_ctc_probe_reads_clean_frames():
    frames, labels = spelled(120, 0)
    result = ctc_probe(frames[:80], labels[:80], frames[80:], labels[80:], seed=0, steps=250, learning_rate=5e-2)
    assert result.error_rate < 0.05
    assert result.n_labels == sum(map(len, labels[80:]))
    assert (result.n_train, result.n_test, result.n_too_short, result.weights) == (80, 40, 0, None)


def test_ctc_probe_on_noise_is_wrong_most_of_the_time():
    frames, labels = spelled(120, 0)
    rng = np.random.default_rng(1)
    noise = [rng.normal(size=x.shape) for x in frames]
    result = ctc_probe(noise[:80], labels[:80], noise[80:], labels[80:], seed=0, steps=100, clusters=["s", "t"] * 20)
    assert result.error_rate > 0.6
    assert result.low <= result.error_rate <= result.high


def test_ctc_probe_weighs_layers_and_counts_what_is_too_short():
    frames, labels = spelled(100, 2)
    rng = np.random.default_rng(1)
    layered = [np.stack([rng.normal(size=x.shape), x]) for x in frames]
    layered[0] = layered[0][:, :2]
    labels[0] = ["a", "b", "c", "d"]
    result = ctc_probe(layered[:80], labels[:80], layered[80:], labels[80:], seed=0, steps=250, learning_rate=5e-2)
    assert result.n_too_short == 1
    assert result.n_train == 79
    assert result.weights is not None
    assert result.weights[1] > 0.8


@given(st.lists(st.integers(1, 3), max_size=12))
def test_greedy_decoding_inverts_spelling_with_blanks(labels):
    path = [0]
    for label in labels:
        path += [label, label, 0]
    scores = torch.eye(4)[torch.tensor(path)]
    assert probe._greedy(scores) == labels


@given(st.lists(st.integers(1, 3), min_size=1, max_size=10))
def test_ctc_needs_a_blank_between_equal_neighbours(labels):
    target = torch.tensor(labels)
    needed = probe._ctc_length(target)

    def loss(frames):
        flat = torch.full((frames, 1, 4), -1.386)
        return float(functional.ctc_loss(flat, target[None], torch.tensor([frames]), torch.tensor([len(target)])))

    assert np.isfinite(loss(needed))
    assert needed == len(target) or np.isinf(loss(needed - 1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train_x": np.full((6, 2), np.nan)}, "train_x holds values that are not finite"),
        ({"train_x": np.zeros((6, 3))}, "3 dimensions"),
        ({"train_x": np.zeros((0, 2))}, "train_x has shape"),
        ({"train_y": list("aaaaaa")}, "one label only"),
        ({"test_y": list("ab")}, "4 vectors and 2 labels"),
        ({"clusters": list("ab")}, "clusters holds 2 entries"),
        ({"groups": list("ab")}, "groups holds 2 entries"),
    ],
)
def test_what_does_not_match_is_named(change, words):
    given = {"train_x": np.arange(12.0).reshape(6, 2), "train_y": list("aabbab"),
             "test_x": np.zeros((4, 2)), "test_y": list("aabb")}  # fmt: skip
    with pytest.raises(MultiresError, match=words):
        linear_probe(**{**given, **change}, seed=0)


def test_weighted_sum_refuses_layers_of_two_widths():
    with pytest.raises(MultiresError, match="differ in shape"):
        weighted_sum_probe([np.zeros((4, 2)), np.zeros((4, 3))], [0, 1, 0, 1], [np.zeros((4, 2))], [0] * 4, seed=0)


def test_rows_are_tidy():
    x, y = gaussians()
    rows = linear_probe(x[:1000], y[:1000], x[1000:], y[1000:], seed=0).rows(layer="conv", view="phone")
    assert [row["measure"] for row in rows] == [
        "accuracy", "balanced accuracy", "majority accuracy", "shuffled accuracy",
    ]  # fmt: skip
    assert all(row["layer"] == "conv" and row["n"] == 500 for row in rows)
