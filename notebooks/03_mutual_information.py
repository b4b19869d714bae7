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
# # Mutual information of each layer with phones and words
#
# **If a layer's vectors are sorted into clusters, how much does the cluster say about the phone or the word?**
# {term}`Mutual information <MI>` needs no linear relation, only regions of the space that belong to a label.
#
# Prerequisites: [chapter 1](01_extraction); probability distributions and entropy.

# %% [markdown] tags=["badges", "remove-cell"]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/multires/multires/blob/main/notebooks/03_mutual_information.ipynb)
# [![Launch in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/multires/multires/main?labpath=notebooks/03_mutual_information.ipynb)

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
seed: int = 0  # of synthesis, of the sample of frames, of clusters, shuffles and bootstraps
workspace: str = "workspace"  # folder that keeps vectors and tables between runs
models: str = ""  # comma-separated models (`multires models` lists them); empty for the profile's own
layers: str = ""  # comma-separated layers, such as "encoder.0.1,middle.0"; empty for all
device: str = "cpu"  # cpu, cuda or cuda:N, for extraction
frames: int = 0  # frames sampled from each split; 0 for the profile's own number
utterances: int = 0  # utterances of each split at most, spread over its speakers; 0 for the profile's own number
phone_clusters: int = 0  # k-means clusters for phones; 0 for the profile's own number (500 in the original protocol)
word_clusters: int = 0  # k-means clusters for words; 0 for the profile's own number (5,000 in the original protocol)
grid_frames: int = 0  # windows of each split at most in units of frames; 0 for the profile's own number
unit_clusters: str = ""  # comma-separated numbers of clusters in units of frames, of which the first is drawn; empty for the profile's own

# %% tags=["hide-input"]
from IPython.display import Markdown

from multires import open_run
from multires.analysis import comparisons, stages
from multires.analysis.attempt import attempt
from multires.analysis.part import part_of, resolution_pair
from multires.analysis.reference import reference_table
from multires.book import shown
from multires.book.parameters import notebook_parameters
from multires.experiment.tables import experiment_tables
from multires.report import contrasts, figures, reference, sentences, structure

given = notebook_parameters(globals())
run = open_run(**given.for_run)
figures.use_style()

# %% [markdown]
# ## The idea
#
# k-means {cite:p}`lloyd1982least` is fitted to vectors of the training speakers. Each segment of other speakers gets the cluster $C$ that is
# nearest, and has a label $L$. The mutual information of the two {cite:p}`shannon1948mathematical`, in bits, and its share of what there is to
# know {eq}`eq-mi`:
#
# $$
# I(L; C) = \sum_{l, c} p(l, c) \log_2 \frac{p(l, c)}{p(l)\, p(c)} , \qquad
# \mathrm{NMI} = \frac{I(L; C)}{H(L)} .
# $$ (eq-mi)
#
# Counted from a finite sample, $I$ is too high: with as many clusters as segments it would be perfect and mean nothing.
# The first-order correction of Miller {cite:p}`miller1955note` with $m_L$, $m_C$ and $m_{LC}$ occupied labels, clusters and
# pairs among $n$ segments is {eq}`eq-miller`
#
# $$
# \hat{I} = I + \frac{(m_L - 1) + (m_C - 1) - (m_{LC} - 1)}{2 n \ln 2} .
# $$ (eq-miller)
#
# Adjusted mutual information {cite:p}`vinh2010information` subtracts instead what random assignment would give, and is 0 at
# chance. The value for shuffled labels is drawn beside all of them.

# %% [markdown]
# ## Mutual information on arrays: try it
#
# Three labels, and clusters that agree with them for 80 % of the segments. The second number is the same estimate with
# shuffled labels, the third with shuffled labels and 60 clusters: it grows with the number of clusters although there is
# nothing to find.

# %%
import numpy as np
from sklearn.metrics import mutual_info_score

rng = np.random.default_rng(0)
labels = np.repeat([0, 1, 2], 100)
clusters = np.where(rng.random(300) < 0.8, labels, rng.integers(3, size=300))
shuffled, many = rng.permutation(labels), rng.integers(60, size=300)
[
    round(float(mutual_info_score(a, b) / np.log(2)), 2)
    for a, b in [(labels, clusters), (shuffled, clusters), (shuffled, many)]
]

# %% tags=["hide-input"]
mi = attempt(stages.mutual_information, run)
shown.folded(
    mi.table,
    "mutual-information",
    {
        "model": "Model",
        "layer": "Layer",
        "view": "Target",
        "measure": "Measure",
        "trial": "Trial",
        "value": "Value",
        "low": "Low",
        "high": "High",
        "n": "Segments",
    },
)

# %% [markdown]
# ## Phones and words by depth
#
# {numref}`fig-mi` shows the share of the label's entropy and the figure adjusted for chance, with {term}`MFCC` and
# {term}`log-mel` beside the layers. As with CCA, the best layer of each model is compared with that of its control in the
# same draws of speakers.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Mutual information of clusters with phones and words, as a share of the label entropy (normalized) and adjusted for chance (left); and the best layer of each model less that of its control, normalized (right, largest first). Bars are 95 % intervals over speakers (normalized) and the range over seeds of k-means (adjusted); the gray band is shuffled labels; dashed lines are MFCC and log-mel. Baselines far below share a strip on a compressed scale.", "name": "fig-mi"}, "image": {"alt": "Four rows with mutual information by depth for every model: phones and words, normalized and adjusted, with chance bands and lines for acoustic features; beside the normalized ones paired differences from the control around zero."}}
paired = attempt(comparisons.mi_comparisons, run)
differences = comparisons.shown(paired.table)
figures.mi_by_layer(mi.table, corpus=run.corpus.name, models=sentences.models(mi.table), differences=differences)
# %% tags=["hide-input"]
Markdown(sentences.mutual_information(mi.table))

# %% [markdown]
# The paired differences in numbers:

# %% tags=["hide-input"]
shown.folded(
    differences,
    "mutual-information-differences",
    {
        "model": "Model",
        "against": "Compared with",
        "view": "Target",
        "value": "Difference",
        "low": "Low",
        "high": "High",
        "n": "Speakers",
    },
)

# %% tags=["hide-input"]
Markdown(contrasts.differences(differences))

# %% [markdown]
# ## A large trained encoder for reference
#
# {numref}`fig-mi-reference` shows the same measure on the encoder of Whisper base, which is not in the paper: it is trained
# on transcripts. As in [chapter 2](02_cca), it is a positive control. It also shows a weakness of the measure. k-means goes by
# distances, and where a few dimensions of a layer are very large, the clusters follow these and miss the rest: CCA, which does
# not depend on scale, finds phones in the same layers.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Whisper base encoder, supervised, not in the paper: adjusted mutual information of every layer's clusters with phones and words. A reference for what a trained hierarchy looks like. Bars are the range over seeds of k-means; dashed lines are MFCC and log-mel; gray: shuffled labels.", "name": "fig-mi-reference"}, "image": {"alt": "Two panels for Whisper's encoder: adjusted mutual information with phones and words by depth, low in the first layers and high in the upper ones."}}
encoder = reference_table("mutual_information")
figures.reference_curves("mutual_information", encoder, corpus="LibriSpeech")
# %% tags=["hide-input"]
Markdown(f"{reference.order('mutual_information', encoder)} {reference.reference('mutual_information', encoder)}")

# %% [markdown]
# ## Clusters of frames as units
#
# HuBERT is trained to predict clusters: of MFCC at first, then of its own layers {cite:p}`hsu2021hubert`. What such *units*
# say about phones, frame by frame, is its phone-normalized mutual information (PNMI): $I(L; C) / H(L)$ as above, counted over
# frames of windows instead of whole phones. {numref}`fig-units` shows it for two models that differ in downsampling alone, at 50 and at 25
# units a second.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "PNMI with phones of k-means units of every layer, frame by frame, at 50 and 25 Hz. Bars are 95 % intervals over speakers; dashed lines are units of MFCC and log-mel; the gray band is shuffled labels.", "name": "fig-units"}, "image": {"alt": "Two panels, for 50 and 25 units a second, with PNMI by depth for two models and lines for units of acoustic features below."}}
fewer = {"frame_utterances": -(-run.profile.frame_utterances // 3), "unit_clusters": run.profile.unit_clusters[:1]}
pair = part_of(run, resolution_pair(run), **fewer)  # to be quick
units = attempt(stages.frame_units, pair)
figures.units_by_layer(units.table, corpus=run.corpus.name, models=sentences.models(units.table))
# %% tags=["hide-input"]
Markdown(structure.units(units.table))

# %% [markdown]
# ## How much of it is bias?
#
# {numref}`fig-mi-clusters` shows the raw estimate, the corrected one and the one for shuffled labels (the
# {term}`null baseline`), at growing numbers of clusters. Where the shuffled
# curve is high, differences between raw values are differences between noise.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Estimates of the mutual information with phones at growing numbers of clusters, for one layer. What is left of the corrected value for shuffled labels is bias that a first-order correction does not reach.", "name": "fig-mi-clusters"}, "image": {"alt": "Curves of raw, corrected and shuffled mutual information over the number of clusters, labeled at their ends."}}
growth = attempt(stages.mi_clusters, run)
figures.mi_by_clusters(growth.table, corpus=run.corpus.name)
# %% tags=["hide-input"]
Markdown(sentences.mi_clusters(growth.table))

# %% [markdown]
# ## The controlled experiment
#
# {numref}`fig-mi-corpora` shows adjusted mutual information with words in every seed of the controlled experiment (chapter
# [5](05_downstream)), on its test speakers and at one frame rate. Compare values within this figure only: in {numref}`fig-mi`
# speech, speakers and numbers of words and clusters are others.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Adjusted mutual information with words by depth in the controlled experiment's models, mean over seeds with their range, on test speakers. Layers of 20 ms are averaged to 40 ms (left) or decimated (right). Dotted lines are untrained models; the gray band is shuffled labels.", "name": "fig-mi-corpora"}, "image": {"alt": "Two panels: adjusted mutual information with words by depth for every condition, layers averaged and decimated to 40 ms, with untrained models below and a band of shuffled labels around zero."}}
figures.outcome_layers(experiment_tables(), ["word_information"], ylabel="MI, adjusted", forms=True)
# %% tags=["hide-input"]
Markdown(sentences.outcome_layers(experiment_tables(), "word_information"))

# %% [markdown]
# **What would change this.** The number of clusters and of segments: with words the original protocol uses 5,000
# clusters, which a small corpus cannot fill, and the table says how many were used. Larger models and other speech:
# `models`, `profile`, `data`.

# %% tags=["hide-input"]
Markdown(contrasts.mutual_information_conclusion(differences, run.corpus.name))

# %% [markdown]
# ## Exercises
#
# 1. Set `phone_clusters = 50`, then 200. What happens to the share of entropy and to the adjusted figure?
#
# <details><summary>What to expect</summary>
#
# The share of entropy rises with the number of clusters, also for shuffled labels. The adjusted figure changes much less.
#
# </details>
#
# 2. Set `frames = 500`. Which numbers change?
#
# <details><summary>What to expect</summary>
#
# None of those about phones and words: frames are sampled apart from labeled segments, and only chapters 1 and 2 use them.
#
# </details>

# %% [markdown]
# ## The data of this chapter
#
# {download}`All tables as CSV and Parquet, with the meaning of every column <data/03_mutual_information.zip>`.

# %% tags=["remove-cell"]
tables = {"mutual_information": mi, "differences": paired, "units": units, "clusters": growth}
shown.publish(run, "03_mutual_information", tables)

# %% [markdown]
# Next: [what the resolution costs](04_efficiency).
