import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler
from torch.nn import functional

from multires.errors import MultiresError
from multires.measures import probe
from multires.measures.probe import linear_probe, weighted_sum_probe


def gaussians(classes=8, dim=12, n=1500, distance=1.0, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(classes, dim)) * distance
    mixing = rng.normal(size=(dim, dim)) * 0.8 ** np.arange(dim)[:, None]
    y = rng.integers(0, classes, n)
    return (centers[y] + rng.normal(size=(n, dim))) @ mixing, y


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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train_x": np.full((6, 2), np.nan)}, "train_x holds values that are not finite"),
        ({"train_x": np.zeros((6, 3))}, "3 dimensions"),
        ({"train_x": np.zeros((0, 2))}, "train_x has shape"),
        ({"train_y": list("aaaaaa")}, "one label only"),
        ({"test_y": list("ab")}, "4 vectors and 2 labels"),
        ({"clusters": list("ab")}, "clusters to resample have shape"),
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
