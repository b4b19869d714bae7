"""Brute-force CCA scores from raw rows, everything recomputed for each regularizer: what tests and benchmarks compare to.

`public_score` follows the protocol of Pasad et al. as their code runs it; the others are the textbook definitions.
"""

import numpy as np
import scipy.linalg


def split(x, y, fold_of_row, dev, test):
    train = ~np.isin(fold_of_row, (dev, test))
    return [(x[rows], y[rows]) for rows in (train, fold_of_row == dev, fold_of_row == test)]


def cross_validated(x, y, fold_of_row, trials, pairs, train, score):
    """The protocol: train at each pair, keep the best on dev, score on test, average."""
    scores = []
    for index, (dev, test) in enumerate(trials):
        training, development, testing = split(x, y, fold_of_row, dev, test)
        fitted = [train(*training, *pair) for pair in pairs(index)]
        best = max(fitted, key=lambda projections: score(*development, *projections))
        scores.append(score(*testing, *best))
    return np.array(scores)


def root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(np.sqrt(values)) @ vectors.T


def public_inverse_root(matrix):
    return root(np.linalg.pinv(matrix))


def exact_inverse_root(matrix):
    """The same without the digits that a pseudo-inverse with entries of 1e10 costs."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(values**-0.5) @ vectors.T


def public_train(x, y, epsilon_x, epsilon_y, *, signs="rule", inverse=public_inverse_root):
    """Projections. Signs of singular vectors: as LAPACK gives them, by the library's rule, or random from a seed."""
    dim = x.shape[1]
    covariance = np.cov(x, y, rowvar=False)
    xx, xy, yy = covariance[:dim, :dim], covariance[:dim, dim:], covariance[dim:, dim:]
    largest_x, largest_y = np.abs(xx).max(), np.abs(yy).max()
    xx, yy, xy = xx / largest_x, yy / largest_y, xy / np.sqrt(largest_x * largest_y)
    keep_x, keep_y = np.diag(xx) >= epsilon_x, np.diag(yy) >= epsilon_y
    xx, yy, xy = xx[np.ix_(keep_x, keep_x)], yy[np.ix_(keep_y, keep_y)], xy[np.ix_(keep_x, keep_y)]
    root_x = inverse(xx + epsilon_x * np.eye(len(xx)))
    root_y = inverse(yy + epsilon_y * np.eye(len(yy)))
    left, _, right = np.linalg.svd(root_x @ xy @ root_y)
    project_x, project_y = left.T @ root_x, right @ root_y
    if signs == "lapack":
        return project_x, project_y, keep_x, keep_y
    k = min(len(project_x), len(project_y))
    coefficients = project_y[:k] if signs == "rule" else np.random.default_rng(signs).normal(size=(k, 1))
    turn = np.sign(coefficients[np.arange(k), np.abs(coefficients).argmax(axis=1)])[:, None]
    project_x[:k] *= turn
    project_y[:k] *= turn
    return project_x, project_y, keep_x, keep_y


def public_score(x, y, project_x, project_y, keep_x, keep_y, *, weights_from="smaller", zero_constant=True):
    """The score on held-out rows.

    With `zero_constant`, a variate that is constant but for rounding has correlation 0; without, rounding error is
    divided by rounding error as in the public code.
    """
    k = min(len(project_x), len(project_y))
    x, y = x[:, keep_x], y[:, keep_y]
    x_variates = (x - x.mean(0)) @ project_x[:k].T
    y_variates = (y - y.mean(0)) @ project_y[:k].T
    norms = np.linalg.norm(x_variates, axis=0) * np.linalg.norm(y_variates, axis=0)
    correlations = (x_variates * y_variates).sum(0) / norms
    if zero_constant:
        # Relative to its coefficients, a variate of real data varies; a linear dependence leaves rounding error.
        spread = np.abs(y_variates).max(0) / np.abs(project_y[:k]).max(1)
        correlations[spread < 1e-12] = 0

    def weighted(view, variates):
        first = view[:, :k]
        orthogonal, _ = np.linalg.qr(variates + first.mean(0))
        sizes = np.abs(orthogonal.T @ first).sum(axis=1)
        return (sizes / sizes.sum()) @ correlations

    from_x, from_y = weighted(x, x_variates), weighted(y, y_variates)
    smaller = from_x if len(project_x) < len(project_y) else from_y
    return {"x": from_x, "y": from_y, "both": (from_x + from_y) / 2, "smaller": smaller}[weights_from]


def textbook_train(x, y, epsilon_x, epsilon_y, *, keep=None):
    """Projections of unit-variance columns (or of principal components that hold the share `keep` of variance)."""
    means = x.mean(0), y.mean(0)

    def prepared(view, mean):
        if keep is None:
            return np.diag(1 / view.std(0, ddof=1))
        _, singular, axes = np.linalg.svd(view - mean, full_matrices=False)
        share = np.cumsum(singular**2) / (singular**2).sum()
        largest = np.abs(np.cov(view, rowvar=False)).max()
        return axes[: int(np.searchsorted(share, keep)) + 1].T / np.sqrt(largest)

    to_x, to_y = prepared(x, means[0]), prepared(y, means[1])
    reduced_x, reduced_y = (x - means[0]) @ to_x, (y - means[1]) @ to_y
    n = len(x) - 1
    root_x = np.linalg.inv(scipy.linalg.sqrtm(reduced_x.T @ reduced_x / n + epsilon_x * np.eye(to_x.shape[1])).real)
    root_y = np.linalg.inv(scipy.linalg.sqrtm(reduced_y.T @ reduced_y / n + epsilon_y * np.eye(to_y.shape[1])).real)
    left, _, right = np.linalg.svd(root_x @ (reduced_x.T @ reduced_y / n) @ root_y, full_matrices=False)
    project_x, project_y = left.T @ root_x @ to_x.T, right @ root_y @ to_y.T
    return project_x, project_y, x - means[0], y - means[1]


def textbook_score(x, y, project_x, project_y, train_x, train_y, *, weights="mean"):
    """Mean (or projection-weighted by training rows of the smaller view) held-out correlation."""
    x_variates, y_variates = (x - x.mean(0)) @ project_x.T, (y - y.mean(0)) @ project_y.T
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(x_variates.T, y_variates.T, strict=True)]
    if weights == "mean":
        return np.mean(correlations)
    view, projection = (train_x, project_x) if train_x.shape[1] < train_y.shape[1] else (train_y, project_y)
    variates = view @ projection.T
    variates /= np.linalg.norm(variates, axis=0)
    sizes = np.abs(variates.T @ view).sum(axis=1)
    return np.average(correlations, weights=sizes)
