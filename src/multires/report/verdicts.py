"""Tables to verdicts on the paper's claims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from multires.experiment.statistics import TASKS, WORDS
from multires.results import tidy

MARGIN = 0.02
"""The smallest difference of a score that matters here. An effect whose interval stays below it counts as none."""

SUPPORTS, CONTRADICTS, OPEN, UNTESTED = "supports", "contradicts", "leaves open", "not tested"

CLAIMS = {
    1: "The gain comes from the auxiliary low-resolution loss, not from the downsampling.",
    2: "Downsampling improves neither downstream results nor the correlation with higher-level units such as words.",
    3: "Downsampling makes the model cheaper.",
}
"""As this book reads the paper (arXiv 2410.23955)."""

THIS_RUN = "this run"
"""The source of evidence from the models that a run looks at; other sources are experiments."""

CHAPTERS = {1: "05_downstream", 2: "02_cca", 3: "04_efficiency"}


@dataclass(frozen=True)
class Effect:
    """A difference between conditions with its 95 % interval, and how many models or repeats it rests on."""

    value: float
    low: float
    high: float
    n: int


def judge(
    *, cca: pd.DataFrame, mutual_information: pd.DataFrame, probes: pd.DataFrame, efficiency: pd.DataFrame
) -> pd.DataFrame:
    """One row for each piece of evidence on each claim.

    Parameters
    ----------
    cca, mutual_information, probes, efficiency
        The tables of the stages of the same names.

    Returns
    -------
    pandas.DataFrame
        Tidy, with the effect as value and further columns source, claim (1 to 3), title, evidence, low, high, verdict,
        sentence and primary (whether `summary` counts it). Verdicts on claims 1 and 2 are drawn from trained models only.
    """
    phone = _best_layers(probes[(probes["view"] == "phone") & (probes["measure"] == "accuracy")])
    word = _best_layers(probes[(probes["view"] == "word") & (probes["measure"] == "accuracy")])
    word_cca = _best_layers(cca[(cca["view"] == "word") & (cca["measure"] != "shuffled")])
    word_mi = _best_layers(
        mutual_information[(mutual_information["view"] == "word") & (mutual_information["measure"] == "normalised")]
    )
    rows = [
        _auxiliary("phone probe accuracy", phone),
        _auxiliary("word probe accuracy", word),
        _downsampling("CCA with words", word_cca),
        _downsampling("normalised MI with words", word_mi),
        _downsampling("word probe accuracy", word),
        _downsampling("phone probe accuracy", phone),
        *_cost(efficiency),
    ]
    return _evidence(rows, THIS_RUN)


def judge_experiment(effects: pd.DataFrame, carried: pd.DataFrame, source: str) -> pd.DataFrame:
    """The controlled experiment's evidence on the first two claims: one row for each score and claim.

    The verdict on a claim is drawn from the primary outcomes alone, so that many scores do not make many chances;
    the other scores stand beside them. None is drawn where the models do not carry the experiment.

    Parameters
    ----------
    effects, carried
        What `multires.experiment.statistics.effects` and `multires.experiment.statistics.carries` give.
    source
        Names the experiment.

    Returns
    -------
    pandas.DataFrame
        As `judge`. An effect on an error rate is turned round, so that more is better in every row.
    """
    short = carried.loc[~carried["carries"].astype(bool), "condition"].tolist()
    wide = effects.set_index(["score", "effect"])
    rows = []
    for score in effects["score"].unique():
        found = {
            name: _turned(wide.loc[(score, name)], score) if (score, name) in wide.index else None
            for name in ("auxiliary loss", "downsampling")
        }
        auxiliary, downsampling = found["auxiliary loss"], found["downsampling"]
        if auxiliary is None or downsampling is None:
            continue
        about_words = score.startswith(("word", "part_of_speech"))
        if ", weighted sum" in score:
            rows.append(_switched(1, score, auxiliary, _auxiliary_verdict(auxiliary, downsampling), short))
        if ", weighted sum" in score or about_words:
            rows.append(_switched(2, score, downsampling, _downsampling_verdict(downsampling), short))
    return _evidence(rows, source)


def _switched(claim: int, score: str, effect: Effect, verdict: str, short: list[str]) -> dict[str, Any]:
    name, what = ("auxiliary loss", "The auxiliary loss") if claim == 1 else ("downsampling", "Downsampling")
    common = {"claim": claim, "evidence": f"{name}: {score}", "measure": "difference", "view": score,
              "primary": score in (TASKS, WORDS)}  # fmt: skip
    if short:
        why = f"no verdict is drawn, because the models do not carry the experiment ({', '.join(short)})"
        return _row(common, effect, UNTESTED, f"{what} changes {score} by {_said(effect)}; {why}.")
    if not np.isfinite(effect.low):
        return _row(common, effect, OPEN, f"{what} changes {score} by {effect.value:+.3f}, with one seed.")
    return _row(common, effect, verdict, f"{what} changes {score} by {_said(effect)}.")


def _turned(row: pd.Series, score: str) -> Effect:
    """An effect such that more is better."""
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    if "error rate" in score:
        value, low, high = -value, -high, -low
    return Effect(value, low, high, int(row["n"]))


def _evidence(rows: list[dict[str, Any]], source: str) -> pd.DataFrame:
    return tidy([{"primary": True, **row, "source": source, "title": CLAIMS[row["claim"]]} for row in rows])


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row a source and claim: its title, the verdict over its primary evidence, sentences, effect and chapter.

    A claim is supported where some evidence supports it and none contradicts it, contradicted the other way round,
    and left open where they disagree or none decides; the second, which says "neither", is contradicted by any evidence
    that does and supported only where all does. The effect (value, low, high, n, named by evidence) is that of
    the first piece.
    """
    rows = []
    for (source, claim), part in table[table["primary"].astype(bool)].groupby(["source", "claim"], sort=False):
        found = set(part["verdict"])
        if found == {UNTESTED}:
            verdict = UNTESTED
        elif claim == 2:  # it says "neither": one gain is enough against it, and nothing may be open for it
            verdict = CONTRADICTS if CONTRADICTS in found else SUPPORTS if found <= {SUPPORTS, UNTESTED} else OPEN
        elif SUPPORTS in found and CONTRADICTS not in found:
            verdict = SUPPORTS
        elif CONTRADICTS in found and SUPPORTS not in found:
            verdict = CONTRADICTS
        else:
            verdict = OPEN
        first = part.iloc[0]
        rows.append({
            "source": source, "claim": claim, "title": CLAIMS[int(claim)], "verdict": verdict,
            "sentence": " ".join(dict.fromkeys(part["sentence"])),
            **{name: first[name] for name in ("evidence", "value", "low", "high", "n")},
            "chapter": CHAPTERS[int(claim)] if source == THIS_RUN else "05_downstream",
        })  # fmt: skip
    return pd.DataFrame(rows)


def _best_layers(table: pd.DataFrame) -> pd.DataFrame:
    """The best single layer of every condition and seed, trained and not: their rows of the table."""
    rows = table[table["trial"].isna() & table["layer_index"].notna() & ~table["model"].isin(["mel", "mfcc"])]
    return rows.loc[rows.groupby(["condition", "seed", "trained"], sort=False)["value"].idxmax()]


def paired_effect(best: pd.DataFrame, better: str, than: str) -> Effect | None:
    """One condition's score minus another's, paired by seed; None where a condition is missing.

    With three seeds or more the interval is Student's over the paired differences. With fewer it combines the
    scores' own intervals as if they were independent, which is too wide rather than too narrow for paired scores.
    """
    pairs = best[best["condition"] == better].merge(best[best["condition"] == than], on="seed", suffixes=("", "_than"))
    if pairs.empty:
        return None
    differences = (pairs["value"] - pairs["value_than"]).to_numpy(float)
    if len(differences) >= 3:
        half = stats.t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / np.sqrt(len(differences))
    else:
        widths = [(pairs[f"high{end}"] - pairs[f"low{end}"]).to_numpy(float) / 2 for end in ("", "_than")]
        half = np.sqrt(sum(width**2 for width in widths).mean() / len(differences))
    mean = differences.mean()
    return Effect(mean, mean - half, mean + half, len(differences))


def _combined(first: Effect | None, second: Effect | None) -> Effect | None:
    """The mean of two effects; their intervals are combined as independent."""
    if first is None or second is None:
        return first or second
    half = np.hypot(first.high - first.low, second.high - second.low) / 4
    value = (first.value + second.value) / 2
    return Effect(value, value - half, value + half, first.n + second.n)


def _auxiliary_effect(best: pd.DataFrame) -> Effect | None:
    return _combined(paired_effect(best, "mono+aux", "mono"), paired_effect(best, "multi+aux", "multi"))


def _downsampling_effect(best: pd.DataFrame) -> Effect | None:
    return _combined(paired_effect(best, "multi", "mono"), paired_effect(best, "multi+aux", "mono+aux"))


def _trained(best: pd.DataFrame) -> pd.DataFrame:
    return best[best["trained"].astype(bool)]


def _auxiliary(evidence: str, best: pd.DataFrame) -> dict[str, Any]:
    """Claim 1: the effect of the auxiliary loss, beside that of downsampling."""
    trained = _trained(best)
    auxiliary, downsampling = _auxiliary_effect(trained), _downsampling_effect(trained)
    common = {"claim": 1, "evidence": f"auxiliary loss: {evidence}", "measure": "difference", "view": evidence}
    if auxiliary is None:
        why = "no model of this run was trained" if trained.empty else "no two trained models differ in the loss alone"
        return _row(common, _auxiliary_effect(best), UNTESTED, f"This run cannot test it: {why}.")
    verdict = _auxiliary_verdict(auxiliary, downsampling)
    return _row(common, auxiliary, verdict, f"The auxiliary loss changes {evidence} by {_said(auxiliary)}.")


def _downsampling(evidence: str, best: pd.DataFrame) -> dict[str, Any]:
    """Claim 2: the effect of downsampling on one score."""
    effect = _downsampling_effect(_trained(best))
    common = {"claim": 2, "evidence": f"downsampling: {evidence}", "measure": "difference", "view": evidence}
    if effect is None:
        random = _downsampling_effect(best)
        why = (
            "This run has no model with and without downsampling to compare."
            if random is None
            else "No verdict is drawn from untrained models."
        )
        return _row(common, random, UNTESTED, why)
    return _row(common, effect, _downsampling_verdict(effect), f"Downsampling changes {evidence} by {_said(effect)}.")


def _auxiliary_verdict(auxiliary: Effect, downsampling: Effect | None) -> str:
    if auxiliary.low > 0 and downsampling is not None and downsampling.high < auxiliary.value:
        return SUPPORTS
    return CONTRADICTS if auxiliary.high < MARGIN else OPEN


def _downsampling_verdict(effect: Effect) -> str:
    """Open also for a gain that is surely there and surely too small to matter."""
    if effect.low > 0:
        return CONTRADICTS if effect.high >= MARGIN else OPEN
    return SUPPORTS if effect.high < MARGIN else OPEN


def _cost(efficiency: pd.DataFrame) -> list[dict[str, Any]]:
    """Claim 3: time and operations of the model that downsamples over those of the same model that does not."""
    rows = []
    timed = efficiency[
        (efficiency["measure"] == "ratio") & (efficiency["model"] == "multi") & (efficiency["batch"] == 1)
    ]
    for against in ("mono", "hubert"):
        part = timed[timed["view"] == against]
        if part.empty:
            continue
        longest = part.loc[part["duration"].idxmax()]
        evidence = f"time, multi / {against}, {longest['duration']:.0f} s"
        common: dict[str, Any] = {"claim": 3, "evidence": evidence, "measure": "ratio", "view": against}
        named = "the same model without downsampling" if against == "mono" else "HuBERT"
        if pd.isna(longest["value"]):
            rows.append(_row(common, None, OPEN, f"Its time beside {named} could not be measured ({longest['note']})."))
            continue
        effect = Effect(float(longest["value"]), float(longest["low"]), float(longest["high"]), int(longest["n"]))
        verdict = SUPPORTS if effect.high < 1 else CONTRADICTS if effect.low > 1 else OPEN
        sentence = (
            f"On {longest['duration']:.0f} s of speech it takes {effect.value:.2f} [{effect.low:.2f}, {effect.high:.2f}] "
            f"of the time of {named}."
        )
        rows.append(_row(common, effect, verdict, sentence))
    counted = efficiency[
        (efficiency["measure"] == "macs_ratio") & (efficiency["model"] == "multi") & (efficiency["view"] == "mono")
    ]
    if len(counted):
        longest = counted.loc[counted["duration"].idxmax()]
        value = float(longest["value"])
        common = {"claim": 3, "evidence": f"operations, multi / mono, {longest['duration']:.0f} s", "measure": "ratio",
                  "view": "mono"}  # fmt: skip
        sentence = f"Counted, it needs {value:.2f} of the operations on {longest['duration']:.0f} s."
        rows.append(_row(common, Effect(value, value, value, 1), SUPPORTS if value < 1 else CONTRADICTS, sentence))
    return rows


def _row(common: dict[str, Any], effect: Effect | None, verdict: str, sentence: str) -> dict[str, Any]:
    value = {} if effect is None else {"value": effect.value, "low": effect.low, "high": effect.high, "n": effect.n}
    return {**common, **value, "verdict": verdict, "sentence": sentence}


def _said(effect: Effect) -> str:
    return f"{effect.value:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}]"
