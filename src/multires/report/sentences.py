"""Tables to sentences: what this run found, with numbers drawn from the table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from multires.corpus.utterance import Corpus
from multires.experiment.decisions import CONTRADICTS, NEITHER, NOTHING, SUPPORTS, UNTESTED
from multires.experiment.plan import CONDITIONS, PLAN
from multires.experiment.tables import ExperimentTables
from multires.report.escape import for_markdown
from multires.report.left_out import NO_SCORES, of_rows
from multires.report.names import (
    capitalized,
    condition_name,
    layer_name,
    models_name,
    speech_name,
    transformer_layers,
)
from multires.report.verdicts import THIS_RUN, with_interval
from multires.results import why_empty

ACOUSTIC_NAMES = {"mel": "log-mel", "mfcc": "MFCC"}
"""Display names of the acoustic features."""


models = models_name
"""Models of a table and their training status in words, for titles."""


def _untrained(table: pd.DataFrame) -> str:
    rows = table[~table["model"].isin(["mel", "mfcc"]) & table["model"].notna()]
    if rows["trained"].any():
        return ""
    return (
        " The models are **untrained**: their weights are random, and what is seen here is what architecture alone does, "
        "the baseline that trained models are to be compared with."
    )


def _trained_only(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of trained models; all where no model is trained."""
    trained = rows["trained"].fillna(False).astype(bool)
    return rows[trained] if trained.any() else rows


def corpus(summary: pd.DataFrame, speech: Corpus) -> str:
    """Summary of the corpus and of the files that could not be used."""
    total = summary.sum(numeric_only=True)
    text = (
        f"In all {total['minutes']:.0f} minutes of {for_markdown(speech_name(speech.name))} with {total['phones']:,.0f} phones and "
        f"{total['words']:,.0f} words. {total['without alignment']:.0f} utterances have no alignment and give frames "
        f"only; {len(speech.skipped)} files or alignments are missing or could not be read"
    )
    if not len(speech.skipped):
        return text + "."
    shown = "; ".join(f"{for_markdown(file)}: {for_markdown(reason)}" for file, reason in speech.skipped[:3])
    return f"{text}: {shown}{' and others, named in the provenance of every table' if len(speech.skipped) > 3 else ''}."


@of_rows
def extraction(table: pd.DataFrame) -> str:
    """The widest and the narrowest layer of each trained model, or of untrained ones where none is trained."""
    spread = _trained_only(table[table["measure"] == "participation ratio"])
    parts = []
    for condition, part in spread.groupby("condition", sort=False):
        best, least = part.loc[part["value"].idxmax()], part.loc[part["value"].idxmin()]
        parts.append(
            f"{_model(condition)} is widest at {_layer(best)} ({best['value']:.1f} directions) and narrowest at "
            f"{_layer(least)} ({least['value']:.1f})"
        )
    return f"In this run, {'; '.join(parts)}.{_untrained(table)}" if parts else NO_SCORES


def _layer(row: pd.Series) -> str:
    """A row's layer in words, as on the figures' axes."""
    return for_markdown(layer_name(row["layer"], row["layer_index"]))


def _model(condition: object) -> str:
    """A condition in words, for running text."""
    return for_markdown(condition_name(condition))


def _place(row: pd.Series) -> str:
    """A row's layer and model in words."""
    layer, model = _layer(row), _model(row["condition"])
    return f"{layer if layer.startswith('layer') else f'the {layer}'} of {'the ' * model.startswith('20 ms')}{model}"


def cca(table: pd.DataFrame) -> str:
    """The best layer for each view."""
    if why_empty(table):
        return ""
    rows = _trained_only(table[table["trial"].isna() & (table["measure"] != "shuffled")])
    shuffled = table[table["measure"] == "shuffled"]
    parts = []
    for view in ("mel", "phone", "word"):
        part = rows[rows["view"] == view]
        if part.empty:
            continue
        best = part.loc[part["value"].idxmax()]
        chance = shuffled[shuffled["view"] == view]["value"].max()
        parts.append(
            f"{'log-mel' if view == 'mel' else f'{view}s'} at {_place(best)} "
            f"({best['value']:.2f} [{best['low']:.2f}, {best['high']:.2f}], chance at most {chance:.2f})"
        )
    if not parts:
        return "This run compares layers with neither log-mel nor phones nor words."
    return f"In this run the correlation is highest for {'; for '.join(parts)}.{_untrained(table)}"


def extraction_conclusion(segments: pd.DataFrame, corpus: str) -> str:
    """The first chapter's last sentence: how phones fit into frames."""
    phones = segments[segments["unit"] == "phone"]
    if phones.empty:
        return f"**In this run ({for_markdown(speech_name(corpus))})** no phone has a time, so that frames stand for themselves only."
    lengths = (phones["end"] - phones["start"]).to_numpy(float)
    shares = ", ".join(
        f"{(lengths < period - 1e-6).mean():.0%} than one of {1000 * period:.0f} ms" for period in (0.04, 0.08)
    )
    return (
        f"**In this run ({for_markdown(speech_name(corpus))})** half of the {len(lengths):,} phones last less than "
        f"{1000 * float(np.median(lengths)):.0f} ms; {(lengths < 0.02 - 1e-6).mean():.0%} are shorter than one frame of 20 ms, "
        f"{shares}, so that the coarser a layer, the more phones share a frame."
    )


@of_rows
def cca_windows(table: pd.DataFrame) -> str:
    """Effect of a wider window alone on the score of the 20 ms layers."""
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


@of_rows
def cca_variants(table: pd.DataFrame) -> str:
    """The range of scores that definitions give to the same vectors."""
    rows = table[table["trial"].isna() & (table["measure"] != "shuffled")]
    if rows.empty:
        return NO_SCORES
    last = rows[rows["layer_index"] == rows["layer_index"].max()].set_index("measure")["value"].astype(float)
    text = ", ".join(f"{name} {value:.3f}" for name, value in last.items())
    text = f"At the last layer the definitions give {text}."
    if not {"pwcca", "layerwise-analysis"} <= set(last.index):
        return text
    gap = abs(last["pwcca"] - last["layerwise-analysis"])
    return (
        f"{text} The public code's score differs from projection-weighted CCA as defined by {gap:.3f} there; its docstring "
        "says where it departs from the definition."
    )


@of_rows
def cca_grouping(table: pd.DataFrame) -> str:
    """Effect of shared speakers."""
    rows = table[table["trial"].isna() & (table["measure"] != "shuffled")]
    parts = []
    for view, part in rows.groupby("view", sort=False):
        values = part.set_index("grouping")["value"]
        if {"segment", "speaker"} <= set(values.index):
            change = values["segment"] - values["speaker"]
            parts.append(f"{change:+.3f} for {'log-mel' if view == 'mel' else f'{view}s'}")
    if not parts:
        return "There are too few speakers to keep each of them on one side of a split."
    return f"Segments split at random, less whole speakers kept on one side: {', '.join(parts)}."


@of_rows
def mutual_information(table: pd.DataFrame) -> str:
    """The best layer for phones and words beside the acoustic features."""
    rows = table[table["trial"].isna() & (table["measure"] == "adjusted")]
    acoustics = rows["model"].isin(["mel", "mfcc"])
    rows = pd.concat([_trained_only(rows[~acoustics]), rows[acoustics]])
    parts = []
    for view in ("phone", "word"):
        part = rows[rows["view"] == view]
        layers, acoustic = part[~part["model"].isin(["mel", "mfcc"])], part[part["model"].isin(["mel", "mfcc"])]
        if layers.empty:
            continue
        best = layers.loc[layers["value"].idxmax()]
        beside = ", ".join(f"{ACOUSTIC_NAMES[row.model]} {row.value:.2f}" for row in acoustic.itertuples())
        parts.append(
            f"the clusters of {_place(best)} tell most about {view}s "
            f"({best['value']:.2f} adjusted, {best['low']:.2f} to {best['high']:.2f} over fits of k-means; {beside})"
        )
    if not parts:
        return NO_SCORES
    return f"In this run {'; '.join(parts)}.{_reduced(table)}{_untrained(table)}"


def _reduced(table: pd.DataFrame) -> str:
    """Cases in which the data could not fill the requested number of clusters."""
    fewer = table[table["clusters"] < table["clusters_requested"]]
    if fewer.empty:
        return ""
    parts = [
        f"{part['clusters_requested'].max():.0f} clusters for {view}s were reduced to {part['clusters'].min():.0f}"
        for view, part in fewer.groupby("view", sort=False)
    ]
    return f" The training split is too small for what was asked: {' and '.join(parts)}."


@of_rows
def mi_clusters(table: pd.DataFrame) -> str:
    """Bias at the largest number of clusters."""
    rows = table[table["trial"].isna()]
    most = rows[rows["clusters"] == rows["clusters"].max()].set_index("measure")["value"]
    if not {"bits", "bits shuffled", "bits corrected", "bits corrected shuffled"} <= set(most.index):
        return NO_SCORES
    return (
        f"With {rows['clusters'].max():.0f} clusters the raw estimate is {most['bits']:.2f} bits, of which "
        f"{most['bits shuffled']:.2f} remain when labels are shuffled; corrected it is {most['bits corrected']:.2f}, and "
        f"{most['bits corrected shuffled']:+.2f} for shuffled labels."
    )


@of_rows
def probes(table: pd.DataFrame) -> str:
    """The best layer for each task beside the acoustic features and chance."""
    rows = table[(table["measure"] == "accuracy") & table["layer_index"].notna()]
    majority = table[table["measure"] == "majority accuracy"].groupby("view")["value"].max()
    parts = []
    for task, part in rows.groupby("view", sort=False):
        acoustic = part[part["model"].isin(["mel", "mfcc"])]
        layers = transformer_layers(_trained_only(part[~part["model"].isin(["mel", "mfcc"])]))
        if layers.empty:
            continue
        best = layers.loc[layers["value"].idxmax()]
        beside = ", ".join(f"{ACOUSTIC_NAMES[row.model]} {row.value:.2f}" for row in acoustic.itertuples())
        parts.append(
            f"{task}: {_place(best)} at {best['value']:.2f} [{best['low']:.2f}, "
            f"{best['high']:.2f}] ({beside}; most frequent label {majority.get(task, np.nan):.2f}; n = {best['n']:,.0f})"
        )
    missing = [task for task in ("phone", "word", "speaker") if task not in set(rows["view"])]
    unseen = f" There is too little labeled speech to probe {' or '.join(missing)}." if missing else ""
    if not parts:
        return f"{NO_SCORES}{unseen}"
    return f"In this run the best single layers are, for {'; '.join(parts)}.{unseen}{_untrained(table)}"


def downstream_conclusion(experiments: Sequence[ExperimentTables]) -> str:
    """The fifth chapter's last sentence: the finding of the experiment, corpus by corpus."""
    return " ".join(finding(each) for each in experiments) or "There is no experiment to conclude from."


def finding(experiment: ExperimentTables) -> str:
    """One sentence that a reader can repeat."""
    phrases = f"On {for_markdown(speech_name(experiment.corpus))}, with {experiment.seeds} seeds of each condition, {claim_1(experiment)}; and {claim_2(experiment)}."
    return f"{phrases} {loss_and_words(experiment)}".strip()


def verdict_of(experiment: ExperimentTables, claim: int) -> str:
    """The experiment's verdict on one of the first two claims."""
    found = dict(zip(experiment.claims["claim"], experiment.claims["verdict"], strict=True))
    return str(found.get(claim, UNTESTED))


def claim_1(experiment: ExperimentTables, *, numbers: bool = True) -> str:
    """The source of the gain, as a clause without an end; with the gain in numbers where there is none."""
    rows = experiment.effects[experiment.effects["outcome"].eq(PLAN.gates.learned_outcome)].set_index("estimand")
    gain = (
        f" ({rows.loc['control', 'score']}, {with_interval(rows.loc['control'])})"
        if numbers and "control" in rows.index
        else ""
    )
    worse = "control" in rows.index and rows.loc["control", "high"] < 0
    compared = "does worse" if worse else "is not shown to be better"
    return {
        NOTHING: f"MR-HuBERT {compared} than HuBERT{gain}, so that there is no gain to attribute",
        SUPPORTS: "the gain over HuBERT comes from the auxiliary loss rather than from the downsampling",
        CONTRADICTS: "the gain over HuBERT does not come from the auxiliary loss rather than from the downsampling",
        NEITHER: "the auxiliary loss and the downsampling contribute alike, within the smallest effect of interest",
        UNTESTED: "where the gain comes from could not be tested",
    }.get(verdict_of(experiment, 1), "where the gain comes from is left open")


def claim_2(experiment: ExperimentTables) -> str:
    """The verdict on gains from downsampling, as a clause without an end."""
    return {
        SUPPORTS: "downsampling brings no gain of interest, neither on tasks nor in what layers say about words",
        CONTRADICTS: "downsampling brings a gain",
        UNTESTED: "whether downsampling brings a gain could not be tested",
    }.get(verdict_of(experiment, 2), "whether downsampling brings a gain is left open")


def small_models(experiment: ExperimentTables) -> str:
    """A sentence on what the experiment's models are, so that nobody takes them for the paper's."""
    hours = experiment.source.get("corpus_hours")
    targets = experiment.source.get("parameters", {}).get("size", {}).get("targets", {})
    model = str(targets.get("model", "")).rpartition(":")[2]
    units = (
        "clusters of MFCC" if model in ("", "mfcc") else f"units of {for_markdown(model)}, {targets.get('layer', '')}"
    )
    heard = f" on {float(hours):.1f} hours of speech" if hours else ""
    return f"These are small models trained{heard} to predict {units}; they are not the paper's."


def loss_and_words(experiment: ExperimentTables) -> str:
    """A sentence on what the auxiliary loss does to word information in the middle block, where an effect is shown."""
    rows = experiment.effects[experiment.effects["group"].eq("words") & experiment.effects["primary"].astype(bool)]
    rows = rows[rows["estimand"].eq("auxiliary")]
    shown = rows[rows["region"].isin(["superior", "inferior"])]
    if shown.empty or len(set(shown["region"])) > 1 or len(shown) < len(rows):
        return ""
    does = "raises" if shown["region"].iloc[0] == "superior" else "lowers"
    effects = ", ".join(f"{row['score'].partition(', ')[0]} {with_interval(row)}" for _, row in shown.iterrows())
    return f"The auxiliary loss {does} what the middle layers say about words, averaged over models with and without downsampling ({effects})."


def experiment(found: ExperimentTables) -> str:
    """The experiment on one corpus in Markdown: gates, verdicts, and the primary effects behind them."""
    effects = found.effects[found.effects["primary"].astype(bool)]
    opening = f"**{for_markdown(capitalized(speech_name(found.corpus)))}.** {_learned(found.carries)}"
    control = effects[effects["estimand"].eq("control") & effects["group"].eq("tasks")]
    gains = control[control["decided"] == "gain"]
    shown = "; ".join(f"{row['score']} {with_interval(row)}" for _, row in control.iterrows())
    where = f"on {', '.join(gains['score'])}" if len(gains) else "on no task"
    parts = [f"{opening} MR-HuBERT is shown to be above HuBERT {where} ({shown})."]
    for claim, estimand in ((1, "difference"), (2, "downsampling")):
        rows = effects[effects["estimand"] == estimand]
        rows = rows[rows["group"] == "tasks"] if claim == 1 else rows
        parts.append(f"**Claim {claim}: {verdict_of(found, claim)}.** {PLAN.estimand(estimand).name.capitalize()}:")
        parts.append("\n".join(f"- {_outcome(row)}" for _, row in rows.iterrows()) or "- no outcome was scored")
    flagged = effects[effects["flagged"].astype(bool) & effects["estimand"].eq("downsampling")]
    if len(flagged):
        parts.append(f"Untrained models show an effect of downsampling too on {', '.join(flagged['score'])}.")
    return "\n\n".join(parts)


def _outcome(row: pd.Series) -> str:
    if not np.isfinite(row["interest"]):
        return f"{row['score']} {with_interval(row)} (HuBERT is not shown to lead MFCC here, so that no size is of interest)"
    return f"{row['score']} {with_interval(row)}, {row['decided'] or row['region']} at ±{row['interest']:.3f}"


def _learned(gate: pd.DataFrame) -> str:
    if gate.empty:
        return "Whether the models learned enough was not checked."
    least = gate.loc[gate["above"].idxmin()]
    name = _model(least["baseline_name"])
    lead = f"the smallest lead is {least['above']:+.3f} ({_model(least['condition'])} over {name})"
    if gate["carries"].all():
        return f"All conditions learned enough to be compared: {lead}, and the losses are flat."
    low = [_model(name) for name in gate.loc[~gate["beats"].astype(bool), "condition"]]
    falling = [_model(name) for name in gate.loc[~gate["flattened"].astype(bool), "condition"]]
    reasons = [f"too little above the baselines in {', '.join(low)}"] if low else []
    reasons += [f"the loss is not flat in {', '.join(falling)}"] if falling else []
    return f"**These models did not learn enough to be compared** ({'; '.join(reasons)}; {lead})."


PUBLISHED = {"hubert_base": "hubert", "b5-a": "mono+aux", "b4-a": "multi", "mono_base": "multi+aux"}
"""Conditions that published checkpoints stand for. None has neither switch on."""


def published(effects: pd.DataFrame) -> str:
    """The published checkpoints in the terms of the experiment, with what cannot be concluded from them.

    Parameters
    ----------
    effects
        What `multires.experiment.analysis.analyze` gives for their scores, conditions named by `PUBLISHED`.
    """
    names = {condition: f"`{key}` ({condition_name(condition)})" for key, condition in PUBLISHED.items()}
    parts = []
    for key in ("loss_at_40", "downsampling_with_loss", "difference", "control"):
        weights = PLAN.estimand(key).weights
        pair = " less ".join(names[name] for name in sorted(weights, key=lambda name: -weights[name]))
        rows = effects[effects["estimand"].eq(key) & effects["primary"].astype(bool)]
        if len(rows):
            parts.append(
                f"{pair}: {', '.join(f'{row.score} {with_interval(row._asdict())}' for row in rows.itertuples())}"
            )
    if not parts:
        return "None of the published pairs was scored."
    return (
        f"Published checkpoints, {'; '.join(parts)}. The intervals cover speakers, not training runs, of which there is one of "
        "each, so that no verdict is drawn. `hubert_base` is a second-iteration model; the others learned units of "
        "`hubert_base` and are third-iteration models, so that their lead over it is not that of an architecture alone."
    )


def outcome_layers(experiments: Sequence[ExperimentTables], outcome: str) -> str:
    """The experiment's middle layers with and without downsampling, beside untrained models and shuffled labels."""
    parts = []
    name = PLAN.outcome(outcome).name
    for each in experiments:
        rows = each.layers(outcome)
        rows = rows[rows["form"].isin(["averaged", "native"])]
        true, trained = rows["labels"] == "true", rows["trained"]
        inside = rows["block"].astype(str).str.startswith("middle")
        middle = rows[true & trained & inside].groupby("condition")["value"].mean()
        if not all(middle.index.str.startswith(architecture).any() for architecture in ("mono", "multi")):
            continue
        random = rows[true & rows["condition"].str.startswith("untrained")]["value"].max()
        cells = ", ".join(f"{condition_name(key)} {middle[key]:.3f}" for key in CONDITIONS if key in middle.index)
        parts.append(
            f"on {for_markdown(speech_name(each.corpus))} {cells} (best layer of all {rows[true & trained]['value'].max():.3f}, "
            f"untrained at most {random:.3f}, shuffled labels at most {rows[~true]['value'].max():.3f})"
        )
    if not parts:
        return "No experiment has models both with and without downsampling."
    return (
        f"{name[0].upper()}{name[1:]}, mean over the middle block's layers and the seeds, 20 ms layers averaged to 40 ms: "
        f"{'; '.join(parts)}."
    )


@of_rows
def weighted_sums(table: pd.DataFrame) -> str:
    """Comparison of the weighted sum with the best layer."""
    rows = table[(table["measure"] == "accuracy") & ~table["model"].isin(["mel", "mfcc"])]
    parts = []
    for task, part in rows.groupby("view", sort=False):
        single = transformer_layers(part[part["layer_index"].notna()]).groupby(["model", "seed"])["value"].max()
        summed = part[part["layer_index"].isna()].set_index(["model", "seed"])["value"]
        if (gain := (summed - single).dropna()).empty:
            continue
        parts.append(f"{gain.mean():+.3f} for {task}")
    if not parts:
        return NO_SCORES
    return f"A weighted sum of layers, less the best single layer, averaged over models: {', '.join(parts)}."


def rank_correlation(part: pd.DataFrame) -> float:
    """Spearman's correlation of the columns value and accuracy; NaN for fewer than three rows or no variation."""
    if len(part) < 3 or part["value"].nunique() < 2 or part["accuracy"].nunique() < 2:
        return float("nan")
    return float(spearmanr(part["value"], part["accuracy"]).statistic)


@of_rows
def agreement(table: pd.DataFrame) -> str:
    """Rank correlations of measures and probe accuracy over the layers of trained models, those of untrained ones apart."""
    trained = table["trained"].fillna(False).astype(bool)
    kinds = {"trained": table[trained], "untrained": table[~trained]}
    parts = [
        f"over layers of {kind} models {', '.join(_correlations(rows))}" for kind, rows in kinds.items() if len(rows)
    ]
    return f"Spearman's rank correlation with probe accuracy is, {'; '.join(parts)}."


def _correlations(table: pd.DataFrame) -> list[str]:
    return [
        f"{rank_correlation(part):.2f} for {measure} and {view}s ({len(part)} layers)"
        for (view, measure), part in table.groupby(["view", "measure"], sort=False)
    ]


@of_rows
def headline(table: pd.DataFrame) -> str:
    """The evidence in words, for those who cannot see the figure."""
    known = table[table["value"].notna()]
    parts = [f"{row.evidence} {row.value:.3f} ({row.low:.3f} to {row.high:.3f})" for row in known.itertuples()]
    if not parts:
        return NO_SCORES
    return f"Effects with 95 percent intervals: {'; '.join(parts)}."


def conclusion(verdicts: pd.DataFrame, heading: str) -> str:
    """The chapter's last sentence."""
    parts = []
    for claim, part in verdicts.groupby("claim"):
        found = [
            f"**{row.verdict}**" + ("" if row.source == THIS_RUN else f" ({row.source})") for row in part.itertuples()
        ]
        parts.append(f"claim {claim}: {', '.join(found)}")
    return f"**In this run ({for_markdown(heading)}):** {'; '.join(parts)}."
