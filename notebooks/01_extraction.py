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
# **What does a speech model see, and how often does it look?** This chapter reads a corpus, runs models over it, and
# keeps one vector for every {term}`phone`, word and sampled {term}`frame` at every {term}`layer`. The other chapters
# work on these vectors.

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
profile: str = "embedded"  # embedded (synthetic speech, runs anywhere), librispeech (a folder) or paper
data: str = ""  # folder of the corpus; embedded needs none, paper downloads what it needs where none is named
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
from multires.book.parameters import notebook_parameters
from multires.report import figures, sentences

given = notebook_parameters(globals())
run = open_run(**given.for_run)
figures.use_style()

# %% [markdown]
# ## The speech
#
# An utterance is audio (mono, 16 kHz), its speaker, and, where they are known, its words and phones with their times.
# Nothing is dropped silently: utterances without alignment are kept and give frames only, files that cannot be read
# are counted by name.

# %%
speech = stages.corpus_summary(run)
speech.style.hide(axis="index").format(precision=1)

# %% tags=["hide-input"]
Markdown(sentences.corpus(speech, run.corpus))

# %% [markdown]
# {numref}`fig-utterance` shows one utterance as the models receive it, with its words and phones. The rulers below show
# where frames of 20, 40 and 80 ms begin.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "One utterance of the corpus: log-mel spectrogram, words and phones, and the frames of three resolutions. A frame of 80 ms often holds more than one phone.", "name": "fig-utterance"}, "image": {"alt": "A log-mel spectrogram of one utterance with its words and phones marked, and below it three rulers whose ticks are 20, 40 and 80 milliseconds apart."}}
figures.utterance(stages.example_utterance(run), corpus=run.corpus.name)
# %% [markdown]
# ## How long is a frame, how long is a phone?
#
# HuBERT {cite:p}`hsu2021hubert` has a {term}`frame period` of 20 ms. MR-HuBERT {cite:p}`shi2024multiresolution` takes a
# detour through frames of 40 ms. Whether that is fine or coarse depends on how long the units of speech are
# ({numref}`fig-durations`).

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Durations of phones and words, beside the frame periods. The share named at each line is that of phones shorter than one frame.", "name": "fig-durations"}, "image": {"alt": "Two histograms, of phone durations and of word durations, with vertical lines at 20, 40 and 80 milliseconds."}}
figures.durations(run.segments, corpus=run.corpus.name)
# %% [markdown]
# ## The models
#
# HuBERT is a waveform encoder and one {term}`block` of Transformer layers {cite:p}`vaswani2017attention`. MR-HuBERT
# splits the layers into blocks ({numref}`fig-schematic`): an encoder at 20 ms, a middle block at 40 ms, and a decoder at
# 20 ms again, with {term}`sampling modules <sampler>` between. Training by {term}`masked unit prediction` takes a loss at
# the top and, in MR-HuBERT, an {term}`auxiliary loss` at the low {term}`resolution`. The mono-resolution
# {term}`control` has the same modules and parameters but stays at 20 ms throughout, so that what the low resolution
# itself does can be told from what the shape does. [The explorer](../book/explorer) shows every model of the registry
# in this way.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The models of this run, one of each shape, from the waveform up. A box is a layer over 160 ms of speech, divided into its frames; color is the frame period, here and in every figure of the book. The line at the side is the encoder's output, added to the decoder's; a loss is marked where training predicts units.", "name": "fig-schematic"}, "image": {"alt": "For each model a column of boxes, one for each layer, divided into frames and colored by frame period. HuBERT is one stack at 20 ms; the control has three blocks at 20 ms; MR-HuBERT has its middle block at 40 ms, between a downsampler and an upsampler."}}
shapes = stages.distinct_models(run)
figures.schematic(stages.layer_table(run, shapes), {name: run.model(name).predicts_from for name in shapes})
# %%
blocks = stages.layer_table(run, shapes).groupby(
    ["model", "block", "frame_period", "width"], sort=False, as_index=False
)
blocks.agg(layers=("label", ", ".join)).style.hide(axis="index").format({"frame_period": "{:.0f} ms"})

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

# %%
extraction = stages.extraction(run)
vectors = extraction.table[extraction.table["measure"] == "segments"]
vectors.pivot_table(index=["model", "seed"], columns="view", values="value", aggfunc="max").astype(int)

# %% [markdown]
# The vectors are stored with their labels; any of them is one line away.

# %%
first = run.subjects[0]
run.features(first.name, first.seed).dataset("phone", ["conv"])

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
# Next: [what each layer is correlated with](02_cca).
