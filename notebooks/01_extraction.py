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
# # From speech to vectors
#
# **What does a speech model see, and how often?** This chapter reads a corpus, runs models over it, and keeps one vector
# for every {term}`phone`, word and sampled {term}`frame` at every {term}`layer`. The other chapters work on these vectors.
#
# Prerequisites: waveforms and spectrograms; arrays in Python.

# %% [markdown] tags=["badges", "remove-cell"]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/multires/multires/blob/main/notebooks/01_extraction.ipynb)
# [![Launch in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/multires/multires/main?labpath=notebooks/01_extraction.ipynb)

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
seed: int = 0  # of synthesis, of the sample of frames, and of everything random
workspace: str = "workspace"  # folder that keeps vectors and tables between runs
models: str = ""  # comma-separated models (`multires models` lists them); empty for the profile's own
layers: str = ""  # comma-separated layers, such as "encoder.0.1,middle.0"; empty for all
device: str = "cpu"  # cpu, cuda or cuda:N
frames: int = 0  # frames sampled from each split; 0 for the profile's own number
utterances: int = 0  # utterances of each split at most, spread over its speakers; 0 for the profile's own number

# %% tags=["hide-input"]
from IPython.display import Markdown

from multires import open_run
from multires.analysis import stages
from multires.book import shown
from multires.book.listening import listen
from multires.book.parameters import notebook_parameters
from multires.report import figures, sentences
from multires.report.escape import styled

given = notebook_parameters(globals())
run = open_run(**given.for_run)
figures.use_style()

# %% [markdown]
# ## The speech
#
# An utterance is audio (mono, 16 kHz), its speaker, and, where they are known, its words and phones with their times.
# Nothing is dropped silently: utterances without alignment are kept and give frames only, and files that cannot be
# read are listed by name.

# %% tags=["hide-input"]
speech = stages.corpus_summary(run)
styled(speech, precision=1)

# %% tags=["hide-input"]
Markdown(sentences.corpus(speech, run.corpus))

# %% [markdown]
# {numref}`fig-utterance` shows one utterance as the models receive it, with its words and phones. The rulers below show
# where frames of 20, 40 and 80 ms begin.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "One utterance of the corpus: log-mel spectrogram, words and phones, and the frames of three resolutions. A frame of 80 ms often holds more than one phone.", "name": "fig-utterance"}, "image": {"alt": "A log-mel spectrogram of one utterance with its words and phones marked, and below it three rulers whose ticks are 20, 40 and 80 milliseconds apart."}}
example = stages.example_utterance(run)
figures.utterance(example, stages.log_mel(example), corpus=run.corpus.name)
# %% [markdown]
# Listen to it, first as recorded, then resynthesized from log-mel energies that were averaged over frames of 20, 40 and
# 80 ms. What a coarser frame loses can be heard: at 80 ms, short consonants blur into their neighbors. The models see
# more than this, since their frames keep many numbers for each stretch of time.
#
# The recordings of the profile `librispeech-sample` are an excerpt of LibriSpeech by Vassil Panayotov, Guoguo Chen, Daniel
# Povey and Sanjeev Khudanpur {cite:p}`panayotov2015librispeech`, under
# [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/): utterances were selected and stored as Ogg
# Opus at 24 or 32 kbit/s. They are read aloud from public-domain books by volunteers of LibriVox.

# %% tags=["hide-input"]
listen(example)
# %% [markdown]
# ## How long is a frame, how long is a phone?
#
# HuBERT {cite:p}`hsu2021hubert` has a {term}`frame period` of 20 ms. MR-HuBERT {cite:p}`shi2024multiresolution` takes a
# detour through frames of 40 ms. Whether that is fine or coarse depends on how long phones and words are
# ({numref}`fig-durations`).

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Durations of phones (above) and words (below), with the frame periods as vertical lines. The percentage is the share of phones, or of words, that are shorter than one frame.", "name": "fig-durations"}, "image": {"alt": "Two histograms, of phone durations and of word durations, with vertical lines at 20, 40 and 80 milliseconds."}}
figures.durations(run.segments, corpus=run.corpus.name)
# %% [markdown]
# ## The models
#
# HuBERT is a waveform encoder and one {term}`block` of Transformer layers {cite:p}`vaswani2017attention`. MR-HuBERT
# splits the layers into blocks ({numref}`fig-schematic`): an encoder at 20 ms, a middle block at 40 ms, and a decoder at
# 20 ms again, with {term}`sampling modules <sampler>` between. Training by {term}`masked unit prediction` takes a loss at
# the top and, in MR-HuBERT, an {term}`auxiliary loss` at the low {term}`resolution`. The mono-resolution
# {term}`control` has the same modules and parameters but stays at 20 ms throughout, which separates the
# effect of the low resolution from that of the shape. [The explorer](../book/explorer) shows every model of the registry
# in this way.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The models of this run, one of each shape, from the input at the bottom up. A box is a layer over 160 ms of speech, divided into its frames; color is the frame period, here and in every figure of the book. The line at the side is the encoder's output, added to the decoder's; a loss is marked where training predicts units.", "name": "fig-schematic"}, "image": {"alt": "For each model a column of boxes, one for each layer, divided into frames and colored by frame period. HuBERT is one stack at 20 ms; the control has three blocks at 20 ms; MR-HuBERT has its middle block at 40 ms, between a downsampler and an upsampler."}}
shapes = stages.distinct_models(run)
figures.schematic(stages.layer_table(run, shapes), {name: run.model(name).predicts_from for name in shapes})
# %% tags=["hide-input"]
blocks = stages.layer_table(run, shapes).groupby(
    ["model", "block", "frame_period", "width"], sort=False, as_index=False
)
styled(
    blocks.agg(layers=("label", ", ".join)).rename(
        columns={
            "model": "Model",
            "block": "Block",
            "frame_period": "Frame period",
            "width": "Width",
            "layers": "Layers",
        }
    ),
    {"Frame period": "{:.0f} ms"},
)

# %% [markdown]
# ## A segment becomes a vector: try it
#
# Ten frames of 20 ms that hold one number each, and a segment from 0.05 to 0.13 s. Its vector is the mean of the frames that
# it touches. With frames of 40 ms it touches more time on both sides, and the mean changes.

# %%
import numpy as np

from multires.features.pooling import pool

frames = np.arange(10.0)[:, None]  # (frames, dim)
coarse = frames.reshape(5, 2, 1).mean(axis=1)  # the same speech at 40 ms
start, end = np.array([0.05]), np.array([0.13])  # seconds
pool(frames, start, end, 0.02).item(), pool(coarse, start, end, 0.04).item()

# %% [markdown]
# ## Extraction
#
# A {term}`segment` from $t_0$ to $t_1$ seconds, at a layer whose frames $h_i$ are $\tau$ seconds apart, becomes the mean
# of its frames, at least one of them {eq}`eq-pooling`, as in layer-wise analysis {cite:p}`pasad2021layerwise`:
#
# $$
# v = \frac{1}{b - a} \sum_{i=a}^{b-1} h_i , \qquad
# a = \lfloor t_0 / \tau \rfloor , \quad b = \max\left(a + 1,\, \lceil t_1 / \tau \rceil\right) .
# $$ (eq-pooling)
#
# Frames are sampled in nested windows, a 20 ms frame inside a 40 ms frame inside an 80 ms frame. A layer can therefore
# be looked at on any grid that is not finer than its own, and layers of different resolutions can be compared at the
# same places.

# %% tags=["hide-input"]
extraction = stages.extraction(run)
vectors = extraction.table[extraction.table["measure"] == "segments"]
shown.folded(
    vectors,
    "vectors",
    {"model": "Model", "seed": "Seed", "layer": "Layer", "view": "Kind", "value": "Vectors"},
    precision=0,
)

# %% [markdown]
# The vectors are stored with their labels and are read back in one line.

# %%
first = run.subjects[0]
store = run.features(first.name, first.seed)
store.dataset("phone", store.layer_names()[:1])

# %% [markdown]
# ## What differs from layer to layer
#
# Two summaries say how the frames change with depth before any label is looked at ({numref}`fig-spread`). The
# {term}`participation ratio` {eq}`eq-participation` of the covariance's eigenvalues $\lambda$ {cite:p}`gao2017theory` says
# over how many directions the variance is spread, and the *similarity of neighbors* is the mean cosine between one
# 20 ms window's vector and that of the 80 ms window around it, both centered:
#
# $$
# \mathrm{PR} = \frac{\left(\sum_k \lambda_k\right)^2}{\sum_k \lambda_k^2} .
# $$ (eq-participation)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Participation ratio of the frames of each layer, and how similar a frame is to the 80 ms around it. Bars span the seeds of the model and a bootstrap over speakers.", "name": "fig-spread"}, "image": {"alt": "Two panels of curves over depth: participation ratio, and similarity of a frame to the 80 ms around it, for each model."}}
figures.extraction_summary(extraction.table, corpus=run.corpus.name, models=sentences.models(extraction.table))
# %% tags=["hide-input"]
Markdown(sentences.extraction(extraction.table))

# %% [markdown]
# **What would change this.** Another corpus (`profile`, `data`), other models (`models`), another sample (`seed`,
# `frames`): all are parameters of this notebook.

# %% tags=["hide-input"]
Markdown(sentences.extraction_conclusion(run.segments, run.corpus.name))

# %% [markdown]
# ## Exercises
#
# 1. Set `seed = 1` and run the chapter again. Which numbers change?
#
# <details><summary>What to expect</summary>
#
# The sampled frames and the weights of untrained models change, so that scores move a little, and with the profile
# `synthetic` the speech too. The recordings, their phones and words stay. The frame periods and the number of layers stay.
#
# </details>
#
# 2. Set `layers = "encoder.0.1,middle.0"`. What do the figures show now?
#
# <details><summary>What to expect</summary>
#
# Two layers of the models that have a middle block, and one of HuBERT. The waveform encoder's output is still extracted,
# because chapter 2 compares layers with it.
#
# </details>

# %% [markdown]
# ## The data of this chapter
#
# {download}`All tables as CSV and Parquet, with the meaning of every column <data/01_extraction.zip>`.

# %% tags=["remove-cell"]
shown.publish(run, "01_extraction", {"extraction": extraction})

# %% [markdown]
# Next: [what each layer is correlated with](02_cca).
