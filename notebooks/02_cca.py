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
# # Correlation of each layer with sound, phones and words
#
# **How much of the sound, of the phone and of the word can be read linearly from each layer, and does a lower
# resolution change it?** {term}`Canonical correlation analysis <CCA>` compares two sets of vectors and does not
# depend on how either is rotated or scaled.
#
# Prerequisites: [chapter 1](01_extraction); covariance matrices and the singular value decomposition.

# %% [markdown] tags=["badges", "remove-cell"]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/multires/multires/blob/main/notebooks/02_cca.ipynb)
# [![Launch in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/multires/multires/main?labpath=notebooks/02_cca.ipynb)

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
seed: int = 0  # of synthesis, of the sample of frames, of folds, shuffles and bootstraps
workspace: str = "workspace"  # folder that keeps vectors and tables between runs
models: str = ""  # comma-separated models (`multires models` lists them); empty for the profile's own
layers: str = ""  # comma-separated layers, such as "encoder.0.1,middle.0"; empty for all
device: str = "cpu"  # cpu, cuda or cuda:N, for extraction
frames: int = 0  # frames sampled from each split; 0 for the profile's own number
utterances: int = 0  # utterances of each split at most, spread over its speakers; 0 for the profile's own number
grid_frames: int = 0  # windows of each split at most in maps of similarity; 0 for the profile's own number
views: str = ""  # comma-separated among mel, conv, phone, word, part_of_speech, layer; empty for all
variant: str = ""  # mean, svcca, pwcca, layerwise-analysis or cka; empty for the profile's own
group_by: str = "segment"  # never on both sides of a split: segment (original protocol), utterance or speaker
word_vectors: str = ""  # file of word vectors in GloVe's text format, or acoustically grounded ones, as a further view

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
# Two {term}`views <view>` of the same $n$ places in speech, centered: $X$ (a layer's vectors) and $Y$ ({term}`log-mel` energies, or
# the identity of the phone as a vector of zeros with a one in it). CCA {cite:p}`hotelling1936relations` looks for
# directions $w$ and $v$ in which the views agree best {eq}`eq-cca`:
#
# $$
# \rho_1 = \max_{w, v} \frac{w^\top S_{xy}\, v}{\sqrt{w^\top S_{xx}\, w}\,\sqrt{v^\top S_{yy}\, v}} ,
# $$ (eq-cca)
#
# where $S_{xy}$ is the covariance of $X$ and $Y$. Then for the next best pair uncorrelated with the first, and so on.
# With $\epsilon_x, \epsilon_y$ on the diagonals against noise, the $\rho_i$ are the singular values of
# $S_{xx}^{-1/2} S_{xy} S_{yy}^{-1/2}$. Only means and covariances are needed, so frames need not be
# stored: `multires.analysis.streaming.model_cca(model, corpus)` reads every frame of a corpus once and stores none.
#
# One number comes from many correlations by weighting. Projection-weighted CCA ({term}`PWCCA`)
# {cite:p}`morcos2018insights` weights $\rho_i$ by how much of the layer its canonical direction accounts for
# {eq}`eq-pwcca`:
#
# $$
# \mathrm{PWCCA} = \frac{\sum_i \alpha_i \rho_i}{\sum_i \alpha_i}, \qquad
# \alpha_i = \sum_j \left| \langle h_i , x_j \rangle \right| ,
# $$ (eq-pwcca)
#
# with $h_i$ the canonical variables of the view with fewer dimensions and $x_j$ that view's columns. Correlations are
# measured on parts of the data that the directions were not fitted to: in each *trial* one part chooses
# $\epsilon_x, \epsilon_y$, another is scored, and the rest is fitted to {cite:p}`pasad2021layerwise,pasad2023comparative`.
#
# Every number comes with three others: a 95 % interval (bootstrap {cite:p}`efron1979bootstrap` over speakers), the score for
# shuffled pairs (the {term}`null baseline`, which is not zero), and the number of segments.

# %% [markdown]
# ## CCA on arrays: try it
#
# Two views that are rotations of each other have a correlation of 1; noise on one of them lowers it; views that have nothing
# in common stay near 0.

# %%
import numpy as np

from multires.measures import cca_score

rng = np.random.default_rng(0)
sound = rng.standard_normal((2000, 3))  # (segments, dim)
rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
views = {
    "rotated": sound @ rotation,
    "with noise": sound + rng.standard_normal(sound.shape),
    "unrelated": rng.standard_normal(sound.shape),
}
{name: round(float(cca_score(sound, view).score), 2) for name, view in views.items()}

# %% tags=["hide-input"]
cca = attempt(stages.cca, run, group_by=given.group_by, word_vectors=given.word_vectors)
shown.folded(
    cca.table,
    "cca",
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
# ## CCA with sound, phones and words by depth
#
# {numref}`fig-cca` has a row for each view. Two scores from the same speakers move together when speakers are drawn again,
# so that their difference is more certain than the bars at the curves suggest: beside the curves, the best layer of each
# model is compared with that of its control in the same draws. [The explorer](../book/explorer) shows the value of every
# point.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "CCA of every layer with each view (left), and the best layer of each model less that of its control (right, largest first). Color is the frame period, shape the architecture; bars are 95 % intervals over speakers, paired at the right; the gray band is the range of shuffled pairs. Baselines far below share a strip on a compressed scale.", "name": "fig-cca"}, "image": {"alt": "A row for each view: CCA scores by depth for every model with intervals and a gray band of chance scores, and beside them paired differences from the control around zero."}}
paired = attempt(comparisons.cca_comparisons, run, group_by=given.group_by, word_vectors=given.word_vectors)
differences = comparisons.shown(paired.table)
figures.cca_by_layer(cca.table, corpus=run.corpus.name, models=sentences.models(cca.table), differences=differences)
# %% tags=["hide-input"]
Markdown(sentences.cca(cca.table))

# %% [markdown]
# The paired differences in numbers:

# %% tags=["hide-input"]
shown.folded(
    differences,
    "cca-differences",
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
Markdown(contrasts.differences(differences[differences["view"].isin(["phone", "word"])]))

# %% [markdown]
# ## The same window for every layer
#
# A 40 ms frame averages twice the time of a 20 ms frame, and an average is easier to predict. So a layer at 40 ms can
# look better or worse for no other reason than its frame period. Here every layer is averaged to the same window, 20,
# 40 and 80 ms long, before it is compared with the log-mel energies of that window ({numref}`fig-cca-windows`).

# %% tags=["hide-input"] mystnb={"figure": {"caption": "CCA with log-mel when every layer is read in the same window. Layers coarser than a window are missing from its panel.", "name": "fig-cca-windows"}, "image": {"alt": "Three panels, for windows of 20, 40 and 80 milliseconds, with CCA scores with log-mel by depth for every model."}}
figures.cca_by_window(cca.table, corpus=run.corpus.name, models=sentences.models(cca.table))
# %% tags=["hide-input"]
Markdown(sentences.cca_windows(cca.table))

# %% [markdown]
# ## A large trained encoder for reference
#
# How would these curves look for a model that has learned a great deal? {numref}`fig-cca-reference` shows the encoder of
# Whisper base, on read speech. It is not in the paper: it is trained on transcripts, not on masked units. It is a positive
# control of the measure, for what happens in such an encoder is known: sound fades with depth, phones and words emerge. The
# table comes with the package; `python -m multires.analysis.reference` makes it again.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Whisper base encoder, supervised, not in the paper: CCA of every layer with log-mel, phones and words. A reference for what a trained hierarchy looks like. Bars are 95 % intervals over speakers; gray: shuffled pairs.", "name": "fig-cca-reference"}, "image": {"alt": "Three panels for Whisper's encoder: CCA with log-mel falls with depth, with phones and words it rises."}}
encoder = reference_table("cca")
figures.reference_curves("cca", encoder, corpus="LibriSpeech")
# %% tags=["hide-input"]
Markdown(f"{reference.order('cca', encoder)} {reference.reference('cca', encoder)}")

# %% [markdown]
# ## Layers compared with one another
#
# CCA can also compare two models. {numref}`fig-similarity` shows how alike the layers of two models are that differ in
# downsampling alone, read in the same windows of 40 ms. The measure is linear CKA {cite:p}`kornblith2019similarity`, corrected
# for the bias that it has with few samples: 1 means the same up to a rotation and a factor, 0 nothing in common. Dark bands between bright blocks
# are places where a model changes what it represents. With several seeds of one condition, `multires report --only similarity`
# adds the maps between seeds: what two seeds share is the most that two conditions can share.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Debiased linear CKA between layers on a common grid of 40 ms: the layers of one model with one another (left), and with those of the model that differs in downsampling alone (right). At the left, the number of a layer has the color of its frame period.", "name": "fig-similarity"}, "image": {"alt": "Two square maps of similarity between layers, bright along the diagonal and in blocks of neighboring layers."}}
pair = part_of(run, resolution_pair(run), frame_utterances=-(-run.profile.frame_utterances // 3))  # to be quick
similar = attempt(stages.layer_similarity, pair)
figures.similarity_maps(similar.table, corpus=run.corpus.name, models=sentences.models(similar.table))
# %% tags=["hide-input"]
Markdown(structure.similarity(similar.table))

# %% [markdown]
# ## Choice of the CCA score
#
# The same vectors give other numbers under other definitions ({numref}`fig-cca-variants`): the unweighted mean, SVCCA {cite:p}`raghu2017svcca`, which
# first keeps the directions that hold most variance, the score that the public layer-wise analysis code computes, and
# linear CKA {cite:p}`kornblith2019similarity`. Numbers from different papers can be compared only where the definition is
# the same. The public code (`layerwise-analysis`) departs from {eq}`eq-pwcca`: it weights by the held-out rows instead
# of the fitted ones, after the means of the view's first columns have been added to the canonical variables, and by
# columns that are not centered. The distance between its curve and that of `pwcca` is what this changes.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Five definitions of the score for one view: the scores of one model's layers against phones.", "name": "fig-cca-variants"}, "image": {"alt": "Five curves by depth, one for each definition of the score, labeled at their ends."}}
variants = attempt(stages.cca_variants, run)
figures.cca_variants(variants.table, corpus=run.corpus.name)
# %% tags=["hide-input"]
Markdown(sentences.cca_variants(variants.table))

# %% [markdown]
# ## Splitting by segment, utterance or speaker
#
# Segments of one speaker resemble each other. If a speaker is in the part that is fitted and in the part that is scored,
# the score contains that resemblance. The table compares three ways of splitting.

# %% tags=["hide-input"]
grouping = attempt(stages.cca_grouping, run)
means = grouping.table[grouping.table["trial"].isna() & grouping.table["measure"].ne("shuffled")]
shown.unfolded(means, {"view": "Target", "grouping": "Never divided", "value": "CCA", "n": "Segments"})

# %% tags=["hide-input"]
Markdown(sentences.cca_grouping(grouping.table))

# %% [markdown]
# ## The controlled experiment
#
# What is seen above comes from one seed. {numref}`fig-cca-corpora` shows every seed of the controlled experiment (chapter
# [5](05_downstream)) on its test speakers: CCA with words at one frame rate, 40 ms, to which layers of 20 ms are averaged, or
# of which every second frame is kept. Its tables come with the package, so that it needs no recordings.
#
# The values are others than those for words in {numref}`fig-cca`, although the models are alike: there it is other speech
# with other speakers and fewer words, one seed, and every layer at its own frame rate. CCA depends on all of these, so only
# values within one figure can be compared.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "CCA with words by depth in the controlled experiment's models, mean over seeds with their range, on its test speakers, other speech than in the first figure of this chapter. Layers of 20 ms are averaged to 40 ms (left) or decimated (right). Dotted lines are untrained models; the gray band is shuffled labels.", "name": "fig-cca-corpora"}, "image": {"alt": "Two panels: CCA with words by depth for every condition, layers averaged and decimated to 40 ms, with untrained models below and a band of shuffled labels."}}
figures.outcome_layers(experiment_tables(), ["word_cca"], ylabel="CCA", forms=True)
# %% tags=["hide-input"]
Markdown(sentences.outcome_layers(experiment_tables(), "word_cca"))

# %% [markdown]
# **What would change this.** Larger models, other speech, more segments (the intervals say how much they could move
# the curves), another definition of the score: `models`, `profile`, `frames` and `variant` are parameters of this
# notebook.

# %% tags=["hide-input"]
Markdown(contrasts.cca_conclusion(differences, run.corpus.name))

# %% [markdown]
# ## Exercises
#
# 1. Set `variant = "mean"`. Do the curves move up or down?
#
# <details><summary>What to expect</summary>
#
# Down, unless all pairs of directions are equally correlated: the unweighted mean counts the weakest pairs as much as the
# strongest. Compare the order of the layers too.
#
# </details>
#
# 2. Set `group_by = "speaker"`. What happens to the scores?
#
# <details><summary>What to expect</summary>
#
# They get lower or stay, because no speaker is in both the fitted and the scored part. The section on splits shows by how
# much in this run.
#
# </details>

# %% [markdown]
# ## The data of this chapter
#
# {download}`All tables as CSV and Parquet, with the meaning of every column <data/02_cca.zip>`.

# %% tags=["remove-cell"]
tables = {"cca": cca, "differences": paired, "similarity": similar, "variants": variants, "splits": grouping}
shown.publish(run, "02_cca", tables)

# %% [markdown]
# Next: [mutual information, which also finds relations that are not linear](03_mutual_information).
