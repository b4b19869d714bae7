import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from multires.errors import MultiresError
from multires.measures.bootstrap import draw_weights
from multires.measures.regression import fit_ridge, ridge_probe
from multires.measures.statistics import CCAStatistics


def targets(rows=1200, dim=10, noise=1.0, seed=0):
    """Vectors, and two targets: one that is linear in them and one that is nearly noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, dim)) * np.geomspace(1, 50, dim) + 100
    scaled = (x - 100) / np.geomspace(1, 50, dim)
    linear = scaled[:, 0] + 0.5 * scaled[:, 1] + noise * rng.normal(size=rows)
    return x, np.stack([linear, 0.1 * scaled[:, 2] + rng.normal(size=rows)], axis=1) + 7


def test_score_is_scikit_learns():
    x, y = targets()
    found = ridge_probe(x[:800], y[:800], x[800:], y[800:])
    scaler = StandardScaler().fit(x[:800])
    for index, result in enumerate(found):
        model = SklearnRidge(alpha=result.penalty * 800).fit(scaler.transform(x[:800]), y[:800, index])
        assert result.r2 == pytest.approx(r2_score(y[800:, index], model.predict(scaler.transform(x[800:]))), abs=1e-8)
        assert (result.n_train, result.n_test) == (800, 400)
        assert result.shuffled < 0.02
    assert found[0].r2 > 0.5 > found[1].r2


def test_penalty_has_the_smallest_error_on_held_out_folds():
    x, y = targets(rows=60, dim=40)
    folds = np.arange(60) % 5
    statistics = CCAStatistics(40, {"y": 2}, 5).update(x, {"y": y}, folds)
    penalties = (1e-3, 1e-1, 10.0, 1000.0)
    errors = np.zeros((4, 2))
    for fold in range(5):
        train, test = folds != fold, folds == fold
        scaler = StandardScaler().fit(x[train])
        for index, penalty in enumerate(penalties):
            model = SklearnRidge(alpha=penalty * train.sum()).fit(scaler.transform(x[train]), y[train])
            errors[index] += ((y[test] - model.predict(scaler.transform(x[test]))) ** 2).sum(axis=0)
    fitted = fit_ridge(statistics, "y", np.arange(5), penalties)
    assert fitted.penalty.tolist() == np.array(penalties)[errors.argmin(axis=0)].tolist()


def test_replicates_are_r2_of_resampled_speakers():
    x, y = targets()
    speaker = np.arange(400) % 12
    found = ridge_probe(x[:800], y[:800, 0], x[800:], y[800:, 0], clusters=speaker, replicates=4)[0]
    scaler = StandardScaler().fit(x[:800])
    model = SklearnRidge(alpha=found.penalty * 800).fit(scaler.transform(x[:800]), y[:800, 0])
    guess = model.predict(scaler.transform(x[800:]))
    for replicate, draw in zip(found.bootstrap.replicates, draw_weights(12, 4, 0), strict=True):
        rows = np.concatenate([np.flatnonzero(speaker == s) for s in range(12) for _ in range(int(draw[s]))])
        assert replicate == pytest.approx(r2_score(y[800:, 0][rows], guess[rows]))
    assert found.bootstrap.low < found.r2 < found.bootstrap.high


def test_known_signal_to_noise():
    x, y = targets(rows=40_000)
    found = ridge_probe(x[:20_000], y[:20_000, 0], x[20_000:], y[20_000:, 0], replicates=50)[0]
    assert found.r2 == pytest.approx(1.25 / 2.25, abs=0.01)


def test_constant_dimensions_and_half_precision_serve():
    x, y = targets()
    flat = np.concatenate([x, np.full((len(x), 2), 5.0)], axis=1)
    plain, padded = (ridge_probe(v[:800], y[:800], v[800:], y[800:])[0].r2 for v in (x, flat))
    assert padded == pytest.approx(plain)
    half = ((x - 100) / 50).astype(np.float16)
    assert ridge_probe(half[:800], y[:800], half[800:], y[800:])[0].r2 == pytest.approx(plain, abs=0.02)


def test_rows_are_tidy():
    x, y = targets()
    rows = ridge_probe(x[:800], y[:800], x[800:], y[800:], groups=np.arange(800) % 9)[0].rows(target="pitch")
    assert [row["measure"] for row in rows] == ["r2", "r2 (shuffled)"]
    assert all(row["target"] == "pitch" and row["n"] == 400 for row in rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_y": np.zeros(5)}, "train_y has shape"),
        ({"test_y": np.full(4, np.nan)}, "test_y has NaN"),
        ({"train_y": np.ones(6)}, "constant"),
        ({"test_x": np.ones((4, 3))}, "same layer"),
        ({"penalties": (0.0,)}, "positive"),
        ({"groups": np.zeros(6)}, "one fold"),
    ],
)
def test_clear_errors(change, message):
    given = {
        "train_x": np.random.default_rng(0).normal(size=(6, 2)), "train_y": np.arange(6.0),
        "test_x": np.ones((4, 2)), "test_y": np.arange(4.0),
    }  # fmt: skip
    with pytest.raises(MultiresError, match=message):
        ridge_probe(**{**given, **change})
