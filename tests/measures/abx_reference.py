"""ABX by its definition, in float64 and with loops: the oracle of the fast implementation."""

from collections import defaultdict
from itertools import groupby

import numpy as np


def frame_distances(a, b, distance):
    if distance == "euclidean":
        return np.linalg.norm(a[:, None] - b[None], axis=2)
    cosine = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
    return np.arccos(cosine.clip(-1, 1)) / np.pi if distance == "angular" else 1 - cosine


def dtw(costs):
    """Sum of costs on the best path over its length; the best path is found by backtracking, diagonal steps first."""
    n, m = costs.shape
    sums = np.full((n + 1, m + 1), np.inf)
    sums[0, 0] = 0
    for i in range(n):
        for j in range(m):
            sums[i + 1, j + 1] = costs[i, j] + min(sums[i, j], sums[i, j + 1], sums[i + 1, j])
    i, j, length = n, m, 1
    while (i, j) != (1, 1):
        diagonal, up, left = sums[i - 1, j - 1], sums[i - 1, j], sums[i, j - 1]
        if diagonal <= min(up, left):
            i, j = i - 1, j - 1
        elif up <= left:
            i -= 1
        else:
            j -= 1
        length += 1
    return sums[n, m] / length


def abx_error(items, labels, speakers, contexts, mode, distance):
    """Mean error over contexts and speakers of X, then speakers, then pairs of labels, of all triples."""
    n = len(items)
    near = np.array([[dtw(frame_distances(items[i], items[j], distance)) for j in range(n)] for i in range(n)])
    cells = defaultdict(list)
    for a in range(n):
        for b in range(n):
            if (speakers[a], contexts[a]) != (speakers[b], contexts[b]) or labels[a] == labels[b]:
                continue
            for x in range(n):
                if x == a or labels[x] != labels[a] or contexts[x] != contexts[a]:
                    continue
                if (speakers[x] == speakers[a]) != (mode == "within"):
                    continue
                gap = near[x, a] - near[x, b]
                key = (labels[a], labels[b], speakers[a], contexts[a], speakers[x])
                cells[key].append(0.5 if abs(gap) < 1e-12 else float(gap > 0))
    means = {key: np.mean(values) for key, values in cells.items()}
    for level in (3, 2):
        means = {
            key: np.mean([value for _, value in part])
            for key, part in groupby(sorted(means.items()), key=lambda item: item[0][:level])
        }
    return np.mean(list(means.values()))
