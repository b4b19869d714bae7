# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What the layers are good for
#
# **Do the {term}`auxiliary loss` or the {term}`downsampling` make the layers better at a task?** The models are frozen; a light head is
# trained on top, and judged on other speakers. This is how SUPERB {cite:p}`yang2021superb` compares speech models.
#
# Prerequisites: [chapter 1](01_extraction); logistic regression and confidence intervals.

# %% [markdown] tags=["badges", "remove-cell"]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/multires/multires/blob/main/notebooks/05_downstream.ipynb)
# [![Launch in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/multires/multires/main?labpath=notebooks/05_downstream.ipynb)

# %% tags=["bootstrap", "remove-cell"]
# In Colab, and only there, install the package; MULTIRES_SOURCE names another place to install it from.
import sys
from importlib.util import find_spec

if "google.colab" in sys.modules or (find_spec("google") and find_spec("google.colab")):
    import os
    import subprocess

    source = os.environ.get("MULTIRES_SOURCE", "git+https://github.com/multires/multires@main")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", source], check=True)

# %% tags=["parameters"]
profile: str = "librispeech-sample"  # librispeech-sample (read speech), synthetic, librispeech (a folder) or paper
data: str = ""  # folder of the corpus; only librispeech needs one, paper downloads what it needs where none is named
seed: int = 0  # of synthesis, of the sample of segments, of heads and bootstraps
workspace: str = "workspace"  # folder that keeps vectors and tables between runs
models: str = ""  # comma-separated models (`multires models` lists them); empty for the profile's own
layers: str = ""  # comma-separated layers, such as "encoder.0.1,middle.0"; empty for all
device: str = "cpu"  # cpu, cuda or cuda:N, for extraction
frames: int = 0  # frames sampled from each split; 0 for the profile's own number
utterances: int = 0  # utterances of each split at most, spread over its speakers; 0 for the profile's own number
probe_instances: int = 0  # segments that train or test a probe at most; 0 for the profile's own number
variant: str = ""  # of CCA: mean, svcca, pwcca, layerwise-analysis or cka; empty for the profile's own
experiment: str = ""  # folder of your own controlled experiment; empty for the one in the package

# %% tags=["hide-input"]
from IPython.display import Markdown

from multires import open_run
from multires.analysis import comparisons, stages
from multires.analysis.attempt import attempt
from multires.analysis.part import part_of, resolution_pair
from multires.analysis.published import published_scores
from multires.analysis.reference import reference_table
from multires.book import shown
from multires.book.parameters import notebook_parameters
from multires.experiment.frame_rates import frame_rate_effects, shipped_frame_rates
from multires.experiment.sensitivity import shipped_sensitivity
from multires.experiment.tables import all_effects, experiment_tables
from multires.report import contrasts, figures, reference, sentences, structure
from multires.report.escape import styled
from multires.report.frame_rates import frame_rates
from multires.report.published import published_summary, published_table
from multires.report.sensitivity import sensitivity

given = notebook_parameters(globals())
switched = experiment_tables(given.experiment)
run = open_run(**given.for_run)
figures.use_style()

# %% [markdown]
# ## What was published
#
# The paper {cite:p}`clark2024empirical` compares checkpoints that others trained: HuBERT {cite:p}`hsu2021hubert` and
# MR-HuBERT {cite:p}`shi2024multiresolution` with its ablations, on SUPERB {cite:p}`yang2021superb`. The table has what could
# be verified in public text about the four of them that fill cells of the 2 × 2. These are not results of this book. Mind
# the third row: MR-HuBERT learned from HuBERT's units, so that its lead over HuBERT may come from one more iteration.

# %% tags=["hide-input"]
published = published_scores()
styled(published_table(published))

# %% tags=["hide-input"]
Markdown(published_summary(published))

# %% tags=["hide-input"]
shown.folded(
    published,
    "published-scores",
    {
        "quantity": "Figure",
        "model": "Checkpoint",
        "value": "Value",
        "source": "Published in",
        "table": "Table",
        "stands": "Read in",
        "note": "Remark",
    },
)

# %% [markdown]
# ## The idea
#
# A {term}`probe` is multinomial logistic regression on the pooled vectors $v$ of a segment: $p(y \mid v) \propto
# \exp(w_y^\top v + b_y)$. It is fitted to every layer alone, and to a weighted sum of all layers whose weights are
# learned with it {eq}`eq-weighted`:
#
# $$
# v = \sum_l \frac{e^{a_l}}{\sum_k e^{a_k}}\, \bar{v}_l ,
# $$ (eq-weighted)
#
# with $\bar{v}_l$ the layer's vectors, standardized. Phones and words are classified for speakers who were not in
# training. Speakers are identified from other utterances of the same speakers.

# %% [markdown]
# ## A main effect on an array: try it
#
# Scores of four models in five seeds, drawn at random so that the auxiliary loss adds 0.05 and the downsampling nothing.
# Each effect is the mean over the two settings of the other switch {eq}`eq-main`.

# %%
import numpy as np

rng = np.random.default_rng(0)
scores = rng.normal(0.70, 0.01, size=(5, 2, 2))  # (seeds, auxiliary loss, downsampling)
scores[:, 1, :] += 0.05
auxiliary = (scores[:, 1] - scores[:, 0]).mean(axis=1)
downsampling = (scores[:, :, 1] - scores[:, :, 0]).mean(axis=1)
auxiliary.mean().round(3), downsampling.mean().round(3)

# %% tags=["hide-input"]
probes = attempt(stages.probes, run)
shown.folded(
    probes.table,
    "probes",
    {
        "model": "Model",
        "layer": "Layer",
        "view": "Task",
        "measure": "Measure",
        "value": "Value",
        "low": "Low",
        "high": "High",
        "n": "Items",
    },
)

# %% [markdown]
# ## Each layer alone
#
# {numref}`fig-probes` has a row for each task, and beside it the best layer of each model less that of its control. Both are
# scored in the same draws of speakers, so that the difference is more certain than the bars at the curves suggest.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Accuracy of linear probes on each layer (left), and the best layer of each model less that of its control (right, largest first). Bars are 95 % intervals over speakers (over utterances for speaker identification), paired at the right; the gray band is heads trained on shuffled labels; dashed lines are the acoustic features. Baselines far below share a strip on a compressed scale.", "name": "fig-probes"}, "image": {"alt": "A row for each task: probe accuracy by depth for every model with chance bands and dashed lines for acoustic features, and beside it paired differences from the control around zero."}}
paired = attempt(comparisons.probe_comparisons, run)
differences = comparisons.shown(paired.table)
figures.probes_by_layer(
    probes.table, corpus=run.corpus.name, models=sentences.models(probes.table), differences=differences
)
# %% tags=["hide-input"]
Markdown(f"{sentences.probes(probes.table)} {contrasts.differences(differences)}")

# %% [markdown]
# {numref}`fig-probes-reference` shows the same probes on a large trained encoder, that of Whisper base. It is not in the paper:
# it is trained on transcripts, and a positive control of the probes. (Speaker identification is left out, because the speech that its table
# was made from has too few utterances of each speaker.)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Whisper base encoder, supervised, not in the paper: accuracy of linear probes for phones and words on each layer. A reference for what a trained hierarchy looks like. Dashed lines are the acoustic features; gray: heads trained on shuffled labels.", "name": "fig-probes-reference"}, "image": {"alt": "Two panels for Whisper's encoder: probe accuracy for phones and for words rises with depth, far above the acoustic features."}}
encoder = reference_table("probes")
figures.reference_curves("probes", encoder, corpus="LibriSpeech")
# %% tags=["hide-input"]
Markdown(f"{reference.order('probes', encoder)} {reference.reference('probes', encoder)}")

# %% [markdown]
# ## What the probe itself contributes
#
# A probe can learn a task that the layer says nothing about, if it can memorize its items. A *control task*
# {cite:p}`hewitt2019designing` tests this: every word type gets one random label for each of its phones, which only a probe that
# recognizes the word can predict. The accuracy on the task less that on its control is the *selectivity* of the probe
# ({numref}`fig-selectivity`). The second panel needs no test items: it is the factor by which a layer shortens the code of the words' labels
# (online coding {cite:p}`voita2020information`).

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Selectivity of linear probes for phones, and compression of the labels of frequent words, on each layer of two models that differ in downsampling alone. Bars are 95 % intervals over speakers; dashed lines are the acoustic features; the gray band is shuffled labels.", "name": "fig-selectivity"}, "image": {"alt": "Two panels by depth for two models: selectivity of probes for phones, and compression of word labels, with lines for acoustic features."}}
pair = part_of(run, resolution_pair(run), probe_instances=-(-run.profile.probe_instances // 3))  # to be quick
selective = attempt(stages.selectivities, pair)
figures.selectivity(selective.table, corpus=run.corpus.name, models=sentences.models(selective.table))
# %% tags=["hide-input"]
Markdown(structure.selectivity(selective.table))

# %% [markdown]
# ## All layers together, weighted
#
# {numref}`fig-weighted` compares the weighted sum with the best single layer.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Accuracy of a head on the learned weighted sum of all layers, beside the best single layer and the acoustic features.", "name": "fig-weighted"}, "image": {"alt": "For each task and model a point with an interval for the weighted sum, beside the best single layer and the acoustic features."}}
figures.weighted_sums(probes.table, corpus=run.corpus.name, models=sentences.models(probes.table))
# %% tags=["hide-input"]
Markdown(sentences.weighted_sums(probes.table))

# %% [markdown]
# ## The controlled experiment
#
# The models above are one seed of five conditions, trained alike but for two switches: the **auxiliary loss** at the
# low resolution, and the **downsampling** itself.
#
# | condition | resolutions | auxiliary loss |
# |---|---|---|
# | `hubert` | 20 ms, one block | no |
# | `mono` (20 ms control) | 20 / 20 / 20 ms, U-shaped | no |
# | `mono+aux` (20 ms control) | 20 / 20 / 20 ms, U-shaped | yes |
# | `multi` | 20 / 40 / 20 ms, U-shaped | no |
# | `multi+aux` (MR-HuBERT) | 20 / 40 / 20 ms, U-shaped | yes |
#
# Within a seed, all conditions share the order of the data, the targets, the initial values of the parts that they have in
# common, the steps and the schedule; the four U-shaped ones have the same parameters. Published checkpoints do not allow
# this comparison: there is none of the control with neither switch on.
#
# These models are small, and those that come with the package learned units of a *supervised* model, Whisper's encoder, which
# stands in for the HuBERT units from which every published MR-HuBERT learned. The experiment can be repeated anywhere;
# `multires experiment` (or `make experiment`) trains and scores its models.

# %% tags=["hide-input"]
Markdown(" ".join(sentences.small_models(each) for each in switched))

# %% [markdown]
# A main effect is the mean over the two settings of the other switch, one value a seed, for example for the loss
# {eq}`eq-main`
#
# $$
# e_s = \tfrac12\left[(m_s^{\text{mono+aux}} - m_s^{\text{mono}}) + (m_s^{\text{multi+aux}} - m_s^{\text{multi}})\right] ,
# $$ (eq-main)
#
# and its interval covers seeds and, where scores of speakers are stored, speakers. Which outcomes decide, and how large an
# effect must be to be of interest, was fixed before models were scored: [the analysis plan](../book/plan). Every
# outcome is on a common grid of 40 ms, because the frame rate alone changes scores.
#
# {numref}`fig-carries` shows whether the models learned enough to be compared, {numref}`fig-training` how they were
# trained, and {numref}`fig-outcomes` what their layers are good for.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Training adequacy: the best layer of each condition in phone classification, on test speakers, beside MFCC, log-mel and the untrained model of its shape. Mean over seeds.", "name": "fig-carries"}, "image": {"alt": "For each condition a line from the best baseline to its best layer, with the lead in words."}}
figures.carries(switched[-1].carries, corpus=switched[-1].corpus, models=f"mean over seeds: {switched[-1].seeds}")
# %% tags=["hide-input"] mystnb={"figure": {"caption": "Training: accuracy and loss on masked frames, mean over seeds with their range.", "name": "fig-training"}, "image": {"alt": "Masked accuracy rising and loss falling by step for five conditions, at the high resolution and at that of the auxiliary loss."}}
figures.training_curves(switched[-1].training, corpus=switched[-1].corpus)
# %% tags=["hide-input"] mystnb={"figure": {"caption": "Phone classification, word classification and phone ABX by depth, on test speakers and on the 40 ms grid, mean over seeds with their range (left), and the best layer of each condition less that of its control, paired by seed, mean and range (right). Layers are chosen on development speakers. Dotted: untrained models. Horizontal lines: MFCC and log-mel. Gray: shuffled labels, where there are any.", "name": "fig-outcomes"}, "image": {"alt": "Three rows: scores by depth for every condition with untrained models and acoustic features below, and beside them paired differences from the control around zero."}}
figures.outcome_layers(
    switched,
    ["phone_classification", "word_classification", "phone_abx"],
    ylabel="share correct",
    differences=True,
)

# %% [markdown]
# {numref}`fig-factorial` is the answer to the chapter's question: what each switch does to each score.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "What the auxiliary loss and the downsampling each change, and their interaction, with 95 % intervals. Gray: effects too small to be of interest.", "name": "fig-factorial"}, "image": {"alt": "A forest plot for each corpus: a row for each score with three intervals around zero, for auxiliary loss, downsampling and their interaction."}}
figures.factorial(all_effects(switched))
# %% tags=["hide-input"]
Markdown("\n\n".join(sentences.experiment(each) for each in switched))

# %% [markdown]
# ## Repeated frames and phone error rates
#
# Benchmarks such as SUPERB {cite:p}`yang2021superb` bring layers of different frame periods to 20 ms by repeating frames, and
# put a head without context on top. {numref}`fig-frame-rates` shows what this does to models that know nothing: untrained
# ones, with the same head on layers with repeated frames and on a common grid of 40 ms. This is why no outcome above
# repeats frames. (On the speech of the package; `python -m multires.experiment.frame_rates` makes the table again.)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Phone recognition by a linear CTC head on a weighted sum of layers, on speakers that the head was not trained on: insertions, deletions and substitutions per reference phone, with 40 ms frames repeated (left) and with all layers on a 40 ms grid (right).", "name": "fig-frame-rates"}, "image": {"alt": "Two panels of stacked bars, insertions, deletions and substitutions, for the untrained and the trained 20 ms control and downsampling model."}}
rates = frame_rate_effects(shipped_frame_rates())
figures.frame_rates(rates, corpus="LibriSpeech sample")
# %% tags=["hide-input"]
Markdown(frame_rates(rates))

# %% [markdown]
# ## Other targets
#
# All models above learned units of Whisper's encoder. {numref}`fig-sensitivity` compares MR-HuBERT with HuBERT once more, trained
# on units that say less of phones: clusters of MFCC, as in HuBERT's first iteration, and clusters of a layer of the HuBERT
# above, as in its second. These runs show whether the difference depends on the quality of the targets; no verdict is
# drawn from them ([the plan](../book/plan)).

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: HuBERT's lead over MFCC in phone classification, against the phone-normalized mutual information (PNMI) of the units that it was trained to predict, on speakers that no model was trained on. Right: MR-HuBERT less HuBERT under each kind of targets, on test speakers, with 95 % intervals.", "name": "fig-sensitivity"}, "image": {"alt": "Two panels: the lead of HuBERT against the quality of its targets, and the difference between MR-HuBERT and HuBERT on each task for every kind of targets."}}
targets = shipped_sensitivity()
figures.sensitivity(targets, corpus="LibriSpeech")
# %% tags=["hide-input"]
Markdown(sensitivity(targets))

# %% [markdown]
# ## Do CCA and MI predict what a layer is good for?
#
# The measures of the last chapters are cheap, and tasks are what matters in the end. If the measures rank layers as the
# probes do, they can replace them ({numref}`fig-agreement`; ρ is Spearman's rank correlation).

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Every layer of every model: probe accuracy beside CCA and MI with the same labels. The number is Spearman's rank correlation.", "name": "fig-agreement"}, "image": {"alt": "Scatter plots of probe accuracy against CCA and against mutual information, for phones and words, colored by frame period."}}
agreement = attempt(stages.agreement, run)
figures.agreement(agreement.table, corpus=run.corpus.name, models=sentences.models(probes.table))
# %% tags=["hide-input"]
Markdown(sentences.agreement(agreement.table))

# %% [markdown]
# **What would change this.** Larger models and longer training above all: these are far smaller than the published ones, and
# an effect that needs scale cannot show here. More seeds make the intervals narrower. On a GPU,
# `multires experiment --size gpu --device cuda` trains longer on more speech, and
# `multires experiment --corpus librispeech --data LIBRISPEECH --size gpu --device cuda` does so on LibriSpeech; name the
# folder that it writes in this chapter's parameter `experiment`.

# %% tags=["hide-input"]
Markdown(sentences.downstream_conclusion(switched))

# %% [markdown]
# ## Exercises
#
# 1. Set `probe_instances = 500`. What happens to accuracy and to its intervals?
#
# <details><summary>What to expect</summary>
#
# Accuracy falls, most for words, since the heads have fewer examples; the intervals get wider.
#
# </details>
#
# 2. Set `models = "mel,untrained/multi-mel"`. How does the untrained model compare with log-mel?
#
# <details><summary>What to expect</summary>
#
# Compare its curve with the dashed line: what random layers add to the acoustic features, or lose of them, is what the
# architecture does without training.
#
# </details>

# %% [markdown]
# ## The data of this chapter
#
# {download}`All tables as CSV and Parquet, with the meaning of every column <data/05_downstream.zip>`.

# %% tags=["remove-cell"]
tables = {"probes": probes, "differences": paired, "selectivity": selective, "agreement": agreement}
shown.publish(run, "05_downstream", tables)

# %% [markdown]
# Next: [what all this supports](06_conclusions).
