"""Tables to sentences: what this run found, with numbers drawn from the table."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from multires.corpus.utterance import Corpus
from multires.experiment.statistics import TASKS
from multires.experiment.tables import ExperimentTables
from multires.report.escape import for_markdown
from multires.report.verdicts import THIS_RUN, Effect, paired_effect

ACOUSTIC_NAMES = {"mel": "log-mel", "mfcc": "MFCC"}
"""What figures and sentences call the acoustic features."""


def models(table: pd.DataFrame) -> str:
    """Which models a table is about, and whether they were trained; for titles."""
    rows = table[~table["model"].isin(["mel", "mfcc"]) & table["model"].notna()]
    trained = rows.groupby("model", sort=False)["trained"].first().astype(bool)
    untrained = _named([str(name).removeprefix("untrained/") for name in trained.index[~trained]])
    if not trained.any():
        return f"untrained models ({untrained})"
    names = _named([str(name) for name in trained.index[trained]])
    return f"{names}; untrained: {untrained}" if untrained else names


def _named(names: list[str]) -> str:
    """Names side by side; what all of three or more share is said once: ``embedded/{mono, multi, hubert}-0``."""
    split = [re.fullmatch(r"(.*/)?(.*?)(-[^-]*)?", name) for name in names]
    heads, tails = {part[1] or "" for part in split if part}, {part[3] or "" for part in split if part}
    if len(names) < 3 or len(heads) > 1 or len(tails) > 1:
        return ", ".join(names)
    (head,), (tail,) = heads, tails
    return f"{head}{{{', '.join(part[2] for part in split if part)}}}{tail}" if head or tail else ", ".join(names)


def _untrained(table: pd.DataFrame) -> str:
    rows = table[~table["model"].isin(["mel", "mfcc"]) & table["model"].notna()]
    if rows["trained"].any():
        return ""
    return (
        " The models are **untrained**: their weights are random, and what is seen here is what architecture alone does, "
        "the baseline that trained models are to be compared with."
    )


def corpus(summary: pd.DataFrame, speech: Corpus) -> str:
    """What there is to look at and what could not be used."""
    total = summary.sum(numeric_only=True)
    text = (
        f"In all {total['minutes']:.0f} minutes of {for_markdown(speech.name)} speech with {total['phones']:,.0f} phones and "
        f"{total['words']:,.0f} words. {total['without alignment']:.0f} utterances have no alignment and give frames "
        f"only; {len(speech.skipped)} files or alignments are missing or could not be read"
    )
    if not len(speech.skipped):
        return text + "."
    shown = "; ".join(f"{for_markdown(file)}: {for_markdown(reason)}" for file, reason in speech.skipped[:3])
    return f"{text}: {shown}{' and others, named in the provenance of every table' if len(speech.skipped) > 3 else ''}."


def extraction(table: pd.DataFrame) -> str:
    """Which layer is the most spread out."""
    spread = table[table["measure"] == "participation ratio"]
    parts = []
    for condition, part in spread.groupby("condition", sort=False):
        best, least = part.loc[part["value"].idxmax()], part.loc[part["value"].idxmin()]
        parts.append(
            f"{condition} is widest at `{best['layer']}` ({best['value']:.1f} directions) and narrowest at "
            f"`{least['layer']}` ({least['value']:.1f})"
        )
    return f"In this run, {'; '.join(parts)}.{_untrained(table)}"


def cca(table: pd.DataFrame) -> str:
    """The best layer for each view, and multi beside mono."""
    rows = table[table["trial"].isna() & (table["measure"] != "shuffled")]
    shuffled = table[table["measure"] == "shuffled"]
    parts = []
    for view in ("mel", "phone", "word"):
        part = rows[rows["view"] == view]
        if part.empty:
            continue
        best = part.loc[part["value"].idxmax()]
        chance = shuffled[shuffled["view"] == view]["value"].max()
        parts.append(
            f"{'log-mel' if view == 'mel' else f'{view}s'} at `{best['layer']}` of {best['condition']} "
            f"({best['value']:.2f} [{best['low']:.2f}, {best['high']:.2f}], chance at most {chance:.2f})"
        )
    if not parts:
        return f"This run compares layers with neither log-mel nor phones nor words.{_untrained(table)}"
    return f"In this run the correlation is highest for {'; for '.join(parts)}.{_contrast(rows, 'word', 'CCA with words')}{_untrained(table)}"


def _contrast(rows: pd.DataFrame, view: str, name: str) -> str:
    """The best layers with and without downsampling, compared."""
    effect = _downsampling(rows, view)
    if effect is None:
        return ""
    return (
        f" The best layer with downsampling (multi) less the best without (mono): {effect.value:+.3f} "
        f"[{effect.low:+.3f}, {effect.high:+.3f}] in {name}."
    )


def _downsampling(rows: pd.DataFrame, view: str) -> Effect | None:
    """The best layer with downsampling less the best without, other things being equal; None where a model is missing."""
    part = rows[(rows["view"] == view) & rows["layer_index"].notna() & ~rows["model"].isin(["mel", "mfcc"])]
    if part["trained"].any():
        part = part[part["trained"].astype(bool)]
    if part.empty:
        return None
    best = part.loc[part.groupby(["condition", "seed"], sort=False)["value"].idxmax()]
    return paired_effect(best, "multi", "mono") or paired_effect(best, "multi+aux", "mono+aux")


def extraction_conclusion(segments: pd.DataFrame, corpus: str) -> str:
    """The first chapter's last sentence: how phones fit into frames."""
    phones = segments[segments["unit"] == "phone"]
    if phones.empty:
        return f"**In this run ({corpus} speech)** no phone has a time, so that frames stand for themselves only."
    lengths = (phones["end"] - phones["start"]).to_numpy(float)
    shares = ", ".join(
        f"{(lengths < period - 1e-6).mean():.0%} than one of {1000 * period:.0f} ms" for period in (0.04, 0.08)
    )
    return (
        f"**In this run ({corpus} speech)** half of the {len(lengths):,} phones last less than "
        f"{1000 * float(np.median(lengths)):.0f} ms; {(lengths < 0.02 - 1e-6).mean():.0%} are shorter than one frame of 20 ms, "
        f"{shares}, so that the coarser a layer, the more phones share a frame."
    )


def cca_conclusion(table: pd.DataFrame, corpus: str) -> str:
    """The second chapter's last sentence: what the lower resolution changes in CCA with labels."""
    rows = table[table["trial"].isna() & (table["measure"] != "shuffled")]
    return _resolution_conclusion(rows, "CCA", corpus)


def mutual_information_conclusion(table: pd.DataFrame, corpus: str) -> str:
    """The third chapter's last sentence: what the lower resolution changes in mutual information with labels."""
    rows = table[table["trial"].isna() & (table["measure"] == "adjusted")]
    return _resolution_conclusion(rows, "adjusted mutual information", corpus)


def _resolution_conclusion(rows: pd.DataFrame, measure: str, corpus: str) -> str:
    """One sentence: for words and phones, whether the best layer with downsampling is above the best without."""
    heading = f"**In this run ({corpus} speech; {models(rows)})**"
    found = {view: _downsampling(rows, view) for view in ("word", "phone")}
    parts = [f"{_direction(effect)} with {view}s ({_interval(effect)})" for view, effect in found.items() if effect]
    if not parts:
        return f"{heading} there are no two models that differ in their resolution alone, so that {measure} says nothing about it."
    return f"{heading} the best layer with downsampling, beside the best without, {' and '.join(parts)} in {measure}."


def _direction(effect: Effect) -> str:
    return "is higher" if effect.low > 0 else "is lower" if effect.high < 0 else "is not shown to differ"


def _interval(effect: Effect) -> str:
    return f"{effect.value:+.3f}, 95 % interval {effect.low:+.3f} to {effect.high:+.3f}"


def cca_windows(table: pd.DataFrame) -> str:
    """How much a wider window alone changes the score of the 20 ms layers."""
    rows = table[(table["view"] == "mel") & table["trial"].isna() & (table["measure"] != "shuffled")]
    if rows["trained"].any():
        rows = rows[rows["trained"].astype(bool)]
    if rows.empty:
        return "This run does not compare layers with log-mel."
    fine = rows[rows["frame_period"].astype(float) < 0.021]
    if fine.empty:
        return "This run looks at no 20 ms layer."
    means = fine.groupby("window")["value"].mean()
    text = ", ".join(f"{value:.2f} in windows of {window:.0f} ms" for window, value in means.items())
    coarse = rows[(rows["frame_period"].astype(float) > 0.021)]
    if coarse.empty:
        return f"Averaged over the 20 ms layers, CCA with log-mel is {text}."
    window = coarse["window"].min()
    low = coarse[coarse["window"] == window]["value"].mean()
    same = fine[fine["window"] == window]["value"].mean()
    return (
        f"Averaged over the 20 ms layers, CCA with log-mel is {text}: the window alone moves it. In the same "
        f"{window:.0f} ms window, the low-resolution layers average {low:.2f} and the 20 ms layers {same:.2f}."
    )


def cca_variants(table: pd.DataFrame) -> str:
    """The range of scores that definitions give to the same vectors."""
    rows = table[table["trial"].isna() & (table["measure"] != "shuffled")]
    last = rows[rows["layer_index"] == rows["layer_index"].max()].set_index("measure")["value"].astype(float)
    text = ", ".join(f"{name} {value:.3f}" for name, value in last.items())
    gap = abs(last.get("pwcca", float("nan")) - last.get("layerwise-analysis", float("nan")))
    return (
        f"At the last layer the definitions give {text}. The public code's score differs from projection-weighted CCA as "
        f"defined by {gap:.3f} there; its docstring says where it departs from the definition."
    )


def cca_grouping(table: pd.DataFrame) -> str:
    """How much a shared speaker adds."""
    rows = table[table["trial"].isna() & (table["measure"] != "shuffled")]
    parts = []
    for view, part in rows.groupby("view", sort=False):
        values = part.set_index("grouping")["value"]
        parts.append(f"{values['segment'] - values['speaker']:+.3f} for {'log-mel' if view == 'mel' else f'{view}s'}")
    return f"Segments split at random, less whole speakers kept on one side: {', '.join(parts)}."


def mutual_information(table: pd.DataFrame) -> str:
    """The best layer for phones and words beside the acoustic features."""
    rows = table[table["trial"].isna() & (table["measure"] == "adjusted")]
    parts = []
    for view in ("phone", "word"):
        part = rows[rows["view"] == view]
        layers, acoustic = part[~part["model"].isin(["mel", "mfcc"])], part[part["model"].isin(["mel", "mfcc"])]
        if layers.empty:
            continue
        best = layers.loc[layers["value"].idxmax()]
        beside = ", ".join(f"{ACOUSTIC_NAMES[row.model]} {row.value:.2f}" for row in acoustic.itertuples())
        parts.append(
            f"the clusters of `{best['layer']}` of {best['condition']} tell most about {view}s "
            f"({best['value']:.2f} [{best['low']:.2f}, {best['high']:.2f}] adjusted; {beside})"
        )
    return (
        f"In this run {'; '.join(parts)}.{_contrast(rows, 'word', 'adjusted MI with words')}{_reduced(table)}"
        f"{_untrained(table)}"
    )


def _reduced(table: pd.DataFrame) -> str:
    """Where the data could not fill the clusters that were asked for."""
    fewer = table[table["clusters"] < table["clusters_requested"]]
    if fewer.empty:
        return ""
    parts = [
        f"{part['clusters_requested'].max():.0f} clusters for {view}s were reduced to {part['clusters'].min():.0f}"
        for view, part in fewer.groupby("view", sort=False)
    ]
    return f" The training split is too small for what was asked: {' and '.join(parts)}."


def mi_clusters(table: pd.DataFrame) -> str:
    """How large the bias is at the most clusters."""
    rows = table[table["trial"].isna()]
    most = rows[rows["clusters"] == rows["clusters"].max()].set_index("measure")["value"]
    return (
        f"With {rows['clusters'].max():.0f} clusters the raw estimate is {most['bits']:.2f} bits, of which "
        f"{most['bits shuffled']:.2f} remain when labels are shuffled; corrected it is {most['bits corrected']:.2f}, and "
        f"{most['bits corrected shuffled']:+.2f} for shuffled labels."
    )


def probes(table: pd.DataFrame) -> str:
    """The best layer for each task beside the acoustic features and chance."""
    rows = table[(table["measure"] == "accuracy") & table["layer_index"].notna()]
    majority = table[table["measure"] == "majority accuracy"].groupby("view")["value"].max()
    parts = []
    for task, part in rows.groupby("view", sort=False):
        layers, acoustic = part[~part["model"].isin(["mel", "mfcc"])], part[part["model"].isin(["mel", "mfcc"])]
        best = layers.loc[layers["value"].idxmax()]
        beside = ", ".join(f"{ACOUSTIC_NAMES[row.model]} {row.value:.2f}" for row in acoustic.itertuples())
        parts.append(
            f"{task}: `{best['layer']}` of {best['condition']} at {best['value']:.2f} [{best['low']:.2f}, "
            f"{best['high']:.2f}] ({beside}; most frequent label {majority[task]:.2f}; n = {best['n']:,.0f})"
        )
    missing = [task for task in ("phone", "word", "speaker") if task not in set(rows["view"])]
    unseen = f" There is too little labelled speech to probe {' or '.join(missing)}." if missing else ""
    return f"In this run the best single layers are, for {'; '.join(parts)}.{unseen}{_untrained(table)}"


def downstream_conclusion(experiments: Sequence[ExperimentTables]) -> str:
    """The fifth chapter's last sentence: what each switch does to the mean over all tasks, corpus by corpus."""
    parts = []
    for each in experiments:
        rows = each.effects[each.effects["score"] == TASKS].set_index("effect")
        said = " and ".join(
            f"the {effect} changes it by {rows.loc[effect, 'value']:+.3f}"
            + (
                f" ({rows.loc[effect, 'low']:+.3f} to {rows.loc[effect, 'high']:+.3f})"
                if pd.notna(rows.loc[effect, "low"])
                else ""
            )
            for effect in ("auxiliary loss", "downsampling")
            if effect in rows.index
        )
        if said:
            weak = "" if each.carries["carries"].all() else ", in models that do not carry the experiment"
            parts.append(f"on {each.corpus} speech {said}{weak}")
    if not parts:
        return "**In the controlled experiment** no seed has all the conditions that an effect needs."
    return f"**In the controlled experiment**, of the mean over all tasks, with 95 % intervals: {'; '.join(parts)}."


def layers_by_corpus(
    experiments: Sequence[ExperimentTables], *, stage: str, measure: str, shuffled: str, name: str
) -> str:
    """The experiment's middle layers with and without downsampling, beside untrained models and shuffled labels."""
    parts = []
    for each in experiments:
        told = []
        for view in ("phone", "word"):
            part = each.of_layers(stage, view)
            scored = part[part["measure"] == measure]
            trained = scored[scored["trained"].astype(bool)]
            middle = trained[trained["block"].astype(str).str.startswith("middle")].groupby("condition")["value"].mean()
            kinds = {
                kind: middle[[name for name in middle.index if name.startswith(kind)]] for kind in ("multi", "mono")
            }
            if any(values.empty for values in kinds.values()):
                continue
            untrained = scored[~scored["trained"].astype(bool)]["value"].max()
            chance = part[part["measure"] == shuffled]["value"].max()
            told.append(
                f"with {view}s {kinds['multi'].mean():.2f} and {kinds['mono'].mean():.2f} (best layer of all "
                f"{trained['value'].max():.2f}, untrained at most {untrained:.2f}, shuffled at most {chance:.2f})"
            )
        if told:
            parts.append(f"on {each.corpus} speech {' and '.join(told)}")
    if not parts:
        return "No experiment has models both with and without downsampling."
    return f"{name} of the middle block's layers, on average over models with and without downsampling: {'; '.join(parts)}."


def weighted_sums(table: pd.DataFrame) -> str:
    """Whether the weighted sum beats the best layer."""
    rows = table[(table["measure"] == "accuracy") & ~table["model"].isin(["mel", "mfcc"])]
    parts = []
    for task, part in rows.groupby("view", sort=False):
        single = part[part["layer_index"].notna()].groupby(["model", "seed"])["value"].max()
        summed = part[part["layer_index"].isna()].set_index(["model", "seed"])["value"]
        parts.append(f"{(summed - single).mean():+.3f} for {task}")
    return f"A weighted sum of layers, less the best single layer, averaged over models: {', '.join(parts)}."


def rank_correlation(part: pd.DataFrame) -> float:
    """Spearman's correlation of the columns value and accuracy; NaN for fewer than three rows or no variation."""
    if len(part) < 3 or part["value"].nunique() < 2 or part["accuracy"].nunique() < 2:
        return float("nan")
    return float(spearmanr(part["value"], part["accuracy"]).statistic)


def agreement(table: pd.DataFrame) -> str:
    """Rank correlations of measures and probe accuracy."""
    parts = [
        f"{rank_correlation(part):.2f} for {measure} and {view}s ({len(part)} layers)"
        for (view, measure), part in table.groupby(["view", "measure"], sort=False)
    ]
    return f"Spearman's rank correlation with probe accuracy: {', '.join(parts)}."


def headline(table: pd.DataFrame) -> str:
    """The evidence in words, for those who cannot see the figure."""
    known = table[table["value"].notna()]
    parts = [f"{row.evidence} {row.value:.3f} ({row.low:.3f} to {row.high:.3f})" for row in known.itertuples()]
    return f"Effects with 95 percent intervals: {'; '.join(parts)}."


def conclusion(verdicts: pd.DataFrame, heading: str) -> str:
    """The chapter's last sentence."""
    parts = []
    for claim, part in verdicts.groupby("claim"):
        found = [
            f"**{row.verdict}**" + ("" if row.source == THIS_RUN else f" ({row.source})") for row in part.itertuples()
        ]
        parts.append(f"claim {claim}: {', '.join(found)}")
    return f"**In this run ({heading}):** {'; '.join(parts)}."
