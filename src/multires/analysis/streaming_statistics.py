"""Statistics of a streamed CCA: added up over utterances, merged, saved and scored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from multires.analysis.streaming_plan import Plan
from multires.errors import MultiresError
from multires.features.pooling import StreamingPool, pool
from multires.measures.cca import CCA, SHUFFLED
from multires.measures.cca_result import CCAResult
from multires.measures.statistics import CCAStatistics
from multires.models.acoustic import HOP, RATE
from multires.models.layers import Layer
from multires.runtime.storage import replace_folder


@dataclass
class ModelStatistics:
    """The sufficient statistics of every layer with every view.

    Attributes
    ----------
    key
        Of model, corpus and settings: only statistics with the same can be merged.
    parts
        By (layer, group): the group is a label view, or ``frame`` and the window in milliseconds. Each y view has a
        shuffled twin.
    fold_of_cell, unit_of_cell, trials
        As in `Plan`.
    seed
        Of regularizers and bootstrap.
    done
        Utterances that are counted.
    """

    key: str
    parts: dict[tuple[str, str], CCAStatistics]
    fold_of_cell: np.ndarray
    unit_of_cell: np.ndarray
    trials: tuple[tuple[int, int], ...]
    seed: int
    done: set[str] = field(default_factory=set)

    @classmethod
    def empty(cls, plan: Plan) -> ModelStatistics:
        """Statistics of nothing yet."""
        parts: dict[tuple[str, str], CCAStatistics] = {}
        for layer in plan.layers:
            views = {_frame_group(w): {v: plan.dims[v] for v in vs} for w, vs in plan.windows[layer.name].items()}
            views |= {view: {view: labels.dim} for view, labels in plan.labels.items()}
            for group, dims in views.items():
                twins = dims | {view + SHUFFLED: dim for view, dim in dims.items()}
                parts[layer.name, group] = CCAStatistics(layer.dim, twins, len(plan.fold_of_cell))
        if not parts:
            raise MultiresError(
                "there is nothing to compare: no layer is fine enough for the window, no view has labels"
            )
        return cls(plan.key, parts, plan.fold_of_cell, plan.unit_of_cell, plan.trials, plan.settings.seed)

    @property
    def nbytes(self) -> int:
        """Bytes that the scatter matrices take, however much has been counted."""
        return sum(
            part.xx.nbytes + sum(m.nbytes for views in (part.yy, part.xy) for m in views.values())
            for part in self.parts.values()
        )

    def update(
        self, plan: Plan, outputs: Sequence[Mapping[str, Mapping[str, np.ndarray]]], batch: Sequence[int]
    ) -> None:
        """Count the frames and segments of a batch of utterances.

        Parameters
        ----------
        plan
            Whose key is that of these statistics.
        outputs
            For every utterance, the frames of each layer of ``model``, ``mel`` and, where there is one, ``other``.
        batch
            The utterances' indices in the corpus.
        """
        for layer in plan.layers:
            name = layer.name
            frames = [found["model"][name] for found in outputs]
            for index, values in zip(batch, frames, strict=True):
                _check(values, plan.names[index], layer)
            for window, views in plan.windows[name].items():
                self._count_frames(plan, layer, window, views, outputs, batch)
            for view, labels in plan.labels.items():
                rows = [labels.of(index) for index in batch]
                if not any(part.stop > part.start for part in rows):
                    continue
                x = [
                    pool(values, labels.start[part], labels.end[part], layer.frame_period)
                    for values, part in zip(frames, rows, strict=True)
                    if part.stop > part.start
                ]
                cells = [
                    np.broadcast_to(plan.cell(i, labels.fold[part] if plan.settings.group_by == "segment" else
                                              plan.fold_of_utterance[i]), part.stop - part.start)
                    for i, part in zip(batch, rows, strict=True)
                ]  # fmt: skip
                chosen = np.concatenate([np.arange(part.start, part.stop) for part in rows])
                y = {view: labels.y[chosen], view + SHUFFLED: labels.shuffled[chosen]}
                self.parts[name, view].update(np.concatenate(x), y, np.concatenate(cells), name=f"layer {name}")
        self.done.update(plan.names[index] for index in batch)

    def update_in_pieces(
        self, plan: Plan, pieces: Iterable[Mapping[str, Mapping[str, np.ndarray]]], index: int
    ) -> None:
        """Count one utterance, as `update` does, from outputs for its consecutive pieces.

        Pieces begin on a multiple of every frame period and every window of the plan. Rows are shuffled within a piece.
        """
        waiting: dict[tuple[str, str], StreamingPool] = {}
        for layer in plan.layers:
            for view, labels in plan.labels.items():
                rows = labels.of(index)
                if rows.stop > rows.start:
                    pooled = StreamingPool(labels.start[rows], labels.end[rows], layer.frame_period)
                    waiting[layer.name, view] = pooled
        seen = dict.fromkeys((layer.name for layer in plan.layers), 0)
        for number, piece in enumerate(pieces):
            for layer in plan.layers:
                values = piece["model"][layer.name]
                _check(values, plan.names[index], layer, before=seen[layer.name])
                seen[layer.name] += len(values)
                for window, views in plan.windows[layer.name].items():
                    self._count_frames(plan, layer, window, views, [piece], [index], number)
                for view in plan.labels:
                    if (layer.name, view) in waiting:
                        self._count_segments(plan, layer, view, index, *waiting[layer.name, view].add(values))
        for layer in plan.layers:
            for view in plan.labels:
                if (layer.name, view) in waiting:
                    self._count_segments(plan, layer, view, index, *waiting[layer.name, view].finish())
        self.done.add(plan.names[index])

    def _count_segments(self, plan: Plan, layer: Layer, view: str, index: int, rows: np.ndarray, x: np.ndarray) -> None:
        if not len(rows):
            return
        labels = plan.labels[view]
        rows = rows + labels.of(index).start
        folds = labels.fold[rows] if plan.settings.group_by == "segment" else plan.fold_of_utterance[index]
        y = {view: labels.y[rows], view + SHUFFLED: labels.shuffled[rows]}
        cells = np.broadcast_to(plan.cell(index, folds), len(rows))
        self.parts[layer.name, view].update(x, y, cells, name=f"layer {layer.name}")

    def _count_frames(
        self,
        plan: Plan,
        layer: Layer,
        window: float,
        views: Sequence[str],
        outputs: Sequence[Mapping[str, Mapping[str, np.ndarray]]],
        batch: Sequence[int],
        piece: int = 0,
    ) -> None:
        xs: list[np.ndarray] = []
        ys: dict[str, list[np.ndarray]] = {view: [] for view in views}
        cells: list[np.ndarray] = []
        for index, found in zip(batch, outputs, strict=True):
            sides = {"x": (found["model"][layer.name], layer.frame_period)}
            for view in views:
                sides[view] = _side(plan, found, view)
            rows = min(int(len(values) * period / window + 1e-6) for values, period in sides.values())
            starts = np.arange(rows) * window
            read = {s: pool(v, starts, starts + window, p) if rows else v[:0] for s, (v, p) in sides.items()}
            xs.append(read["x"])
            for view in views:
                _check(read[view], plan.names[index], layer, of=view)
                ys[view].append(read[view])
            cells.append(plan.cell(index, plan.frame_folds(index, rows, piece)))
        seed = [plan.settings.seed, 5, *batch[:1], *([piece] if piece else [])]
        order = _elsewhere([len(x) for x in xs], np.random.default_rng(seed))
        y = {view: np.concatenate(parts) for view, parts in ys.items()}
        y |= {view + SHUFFLED: values[order] for view, values in y.items()}
        part = self.parts[layer.name, _frame_group(window)]
        part.update(np.concatenate(xs), y, np.concatenate(cells), name=f"layer {layer.name}")

    def merge(self, other: ModelStatistics) -> ModelStatistics:
        """Add what other statistics of the same plan have counted of other utterances.

        Raises
        ------
        MultiresError
            Where the plans differ, or an utterance is in both.
        """
        if self.key != other.key:
            raise MultiresError("statistics of another model, corpus or settings cannot be merged: gather them alike")
        if both := self.done & other.done:
            raise MultiresError(
                f"{len(both)} utterances are in both statistics, such as {min(both)}: merge each part once"
            )
        for place, part in self.parts.items():
            part.merge(other.parts[place])
        self.done |= other.done
        return self

    def __add__(self, other: ModelStatistics) -> ModelStatistics:
        parts = {
            place: CCAStatistics(part.dim_x, part.views, part.groups).merge(part) for place, part in self.parts.items()
        }
        new = ModelStatistics(
            self.key, parts, self.fold_of_cell, self.unit_of_cell, self.trials, self.seed, set(self.done)
        )
        return new.merge(other)

    def save(self, folder: str | Path) -> Path:
        """Write everything to a folder, which is replaced in one step.

        Raises
        ------
        MultiresError
            Where it cannot be written.
        """
        folder = Path(folder)
        state = {
            "key": self.key, "parts": [list(place) for place in self.parts], "done": sorted(self.done),
            "fold_of_cell": self.fold_of_cell.tolist(), "unit_of_cell": self.unit_of_cell.tolist(),
            "trials": [list(pair) for pair in self.trials], "seed": self.seed,
        }  # fmt: skip

        def write(partial: Path) -> None:
            for number, part in enumerate(self.parts.values()):
                part.save(partial / f"{number}.npz")
            (partial / "state.json").write_text(json.dumps(state), encoding="utf-8")

        replace_folder(folder, write)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> ModelStatistics:
        """Read what `save` wrote.

        Raises
        ------
        MultiresError
            Where it is missing or something else.
        """
        folder = Path(folder)
        try:
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            parts = {
                (layer, group): CCAStatistics.load(folder / f"{number}.npz")
                for number, (layer, group) in enumerate(state["parts"])
            }
            return cls(
                state["key"], parts, np.array(state["fold_of_cell"]), np.array(state["unit_of_cell"]),
                tuple((int(dev), int(test)) for dev, test in state["trials"]), int(state["seed"]), set(state["done"]),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MultiresError(f"cannot read statistics from {folder}: {error}; gather them again") from error

    def score(self, variant: str = "pwcca", **settings: Any) -> dict[tuple[str, str, int | None], CCAResult]:
        """The score of each (layer, view, window in milliseconds or None), with interval and shuffled baseline.

        Parameters
        ----------
        variant, settings
            As in `multires.measures.CCA`; folds, trials and seed are those that the rows were split by. ``cka`` has no
            interval: the cells that the others are tested on do not cover its rows evenly.
        """
        found: dict[tuple[str, str, int | None], CCAResult] = {}
        for (layer, group), part in self.parts.items():
            window = int(group.removeprefix("frame")) if group.startswith("frame") else None
            seen = np.unique(self.fold_of_cell[part.count > 0])
            if not {fold for pair in self.trials for fold in pair} <= set(seen.tolist()):
                raise MultiresError(
                    f"layer {layer}, {group}: a held-out fold has no rows: use fewer folds or more data"
                )
            model = CCA(variant, trials=self.trials, seed=self.seed, **settings)
            units = None if variant == "cka" else self.unit_of_cell
            model.fit_statistics(part, self.fold_of_cell, units, name=f"layer {layer}")
            found |= {(layer, view, window): result for view, result in model.results_.items()}
        return found


def _frame_group(window: float) -> str:
    return f"frame{round(window * 1000)}"


def _side(plan: Plan, found: Mapping[str, Mapping[str, np.ndarray]], view: str) -> tuple[np.ndarray, float]:
    """A frame view's frames of one utterance, and their period."""
    if view == "mel":
        return found["mel"]["mel"], HOP / RATE
    layer = plan.conv if view == "conv" else plan.other_layer
    assert layer is not None, "the plan has seen to it"
    return found["model" if view == "conv" else "other"][layer.name], layer.frame_period


def _check(values: np.ndarray, utterance: str, layer: Layer, of: str = "", before: int = 0) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise MultiresError(
            f"{utterance}: {f'view {of} at ' if of else ''}layer {layer.name} has NaN or infinity at "
            f"{(before + bad[0]) * layer.frame_period:.2f} s ({len(bad)} frames of {len(values)}); check the audio and weights"
        )


def _elsewhere(sizes: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """For every row of some utterances a random row of another one; of the same where there is only one."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    order = np.empty(len(owner), dtype=np.int64)
    for index in range(len(sizes)):
        own = owner == index
        others = np.flatnonzero(~own)
        order[own] = rng.choice(others if len(others) else np.flatnonzero(own), int(own.sum()))
    return order
