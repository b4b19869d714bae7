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
# # Words at equal frame rates
#
# **Does the low-resolution {term}`block` say more about words than the same block at full {term}`resolution`, when both
# are read at the same frame rate?** Four independent measures answer, each with an interval over speakers.
#
# Prerequisites: chapters [2](02_cca), [3](03_mutual_information) and [5](05_downstream), for what the measures are.

# %% [markdown] tags=["badges", "remove-cell"]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/multires/multires/blob/main/notebooks/07_resolution.ipynb)
# [![Launch in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/multires/multires/main?labpath=notebooks/07_resolution.ipynb)

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
seed: int = 0  # of synthesis, of the samples, of folds, clusters, triples and bootstraps
workspace: str = "workspace"  # folder that keeps vectors and tables between runs
models: str = ""  # comma-separated models (`multires models` lists them); empty for the profile's own
layers: str = ""  # comma-separated layers, such as "encoder.0.1,middle.0"; empty for all
device: str = "cpu"  # cpu, cuda or cuda:N, for extraction
utterances: int = 0  # utterances of each split at most, spread over its speakers; 0 for the profile's own number
frame_utterances: int = 0  # utterances of each split whose frames are read at most; 0 for the profile's own number
matched_instances: int = 0  # phones, and words, of each split at most; 0 for the profile's own number
variant: str = ""  # of CCA: mean, svcca, pwcca, layerwise-analysis or cka; empty for the profile's own

# %% tags=["hide-input"]
from IPython.display import Markdown

from multires import open_run
from multires.analysis import stages
from multires.analysis.attempt import attempt
from multires.analysis.effects import block_effects
from multires.book import shown
from multires.book.parameters import notebook_parameters
from multires.report import equal_rates, figures, sentences

given = notebook_parameters(globals())
run = open_run(**given.for_run)
figures.use_style()

# %% [markdown]
# ## The idea
#
# A layer at 40 ms has half the frames of a layer at 20 ms, and each of them may have seen twice the time. A comparison of
# the two as they are confounds what the block learned with how often it is read. So the frames $h_t$ of the finer layer are
# read in other ways too:
#
# - *decimated*: every second frame, $h_{2t}$. As few frames as the coarser layer, and no more context.
# - *averaged*: the mean of two frames, $\tfrac12 (h_{2t} + h_{2t+1})$. As few frames, with the information of all.
# - on a common *grid*: both layers in windows of 40 ms, and of 80 ms. Each window is the mean of the frames whose centers
#   are in it.
#
# Four measures of the same frames quantify how well words can be distinguished:
#
# - **CCA** of the mean of a word's frames with the word's identity ([chapter 2](02_cca));
# - **MI, adjusted**, of k-means clusters of these means with the word ([chapter 3](03_mutual_information));
# - **the accuracy of a linear {term}`probe`** for the word ([chapter 5](05_downstream)), with one weight decay for all;
# - **ABX** {cite:p}`schatz2013evaluating`: two speakers say one word ($A$, $X$) and the first says another ($B$). How often
#   is $X$ closer to $A$ than to $B$, by the angle between frames, aligned in time? 0.5 is chance, and nothing is trained.
#
# The layer of each block is the one that each measure favors on the *training* speakers; scores and intervals are those of
# the other speakers. Two blocks are compared in the same draws of speakers.

# %% [markdown]
# ## Equal frame rates on an array: try it
#
# Five frames of 20 ms, decimated, averaged, and on a grid of 40 ms.

# %%
import numpy as np

from multires.measures import Frames, match_resolution

fine = Frames(np.arange(5.0)[:, None], period=0.02, first_center=0.01)  # (frames, dim)
{how: match_resolution(fine, how, 0.04).values.ravel().tolist() for how in ("decimated", "averaged", "grid")}

# %% tags=["hide-input"]
scores = attempt(stages.resolution, run)
shown.folded(
    scores.table,
    "resolution",
    {
        "model": "Model",
        "layer": "Layer",
        "view": "Target",
        "matching": "Frames",
        "measure": "Measure",
        "value": "Value",
        "low": "Low",
        "high": "High",
        "n": "Items",
    },
)

# %% [markdown]
# ## The low-resolution block against the same block at full resolution
#
# {numref}`fig-resolution` shows the middle block at 40 ms less the middle block of the 20 ms {term}`control`. Right of zero
# the low resolution says more about words. The first row, at unequal frame rates, is what a conclusion would have been
# without the matching.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The middle block with downsampling less the same block without it: what it says about words, by four measures, natively and at equal frame rates, with 95 % intervals over speakers. Gray: untrained models, what the architecture alone does.", "name": "fig-resolution"}, "image": {"alt": "Four panels, one for each measure, with a row for each way of reading frames and a difference with its interval for models with the auxiliary loss, without it, and untrained ones."}}
effects = attempt(block_effects, run)
figures.low_resolution(effects.table, corpus=run.corpus.name, models=sentences.models(scores.table))
# %% tags=["hide-input"]
Markdown(equal_rates.low_resolution(effects.table))

# %% [markdown]
# ## Every block
#
# {numref}`fig-block-effects` shows both switches of the controlled experiment in every block, on the grid of 40 ms.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "What downsampling and the auxiliary loss change about words in each block, on a common grid of 40 ms, with 95 % intervals over speakers.", "name": "fig-block-effects"}, "image": {"alt": "Four panels, one for each measure, with a row for each block and a difference with its interval for each comparison of conditions."}}
figures.block_effects(effects.table, corpus=run.corpus.name, models=sentences.models(scores.table))

# %% [markdown]
# ## Every layer
#
# {numref}`fig-resolution-layers` shows all layers as they are and on the common grid.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "What each layer says about words, natively and on a common grid of 40 ms. Bars are 95 % intervals over speakers; dashed lines are MFCC and log-mel.", "name": "fig-resolution-layers"}, "image": {"alt": "Eight panels, two for each measure, with scores for words by depth for every model."}}
figures.resolution_by_layer(scores.table, corpus=run.corpus.name, models=sentences.models(scores.table))

# %% [markdown]
# **What would change this.** One seed of each condition is compared here: the intervals cover the sampling of speakers, not
# that of training, which the controlled experiment of [chapter 5](05_downstream) covers. More speech
# (`frame_utterances`, `matched_instances`) makes them narrower.

# %% [markdown]
# ## Exercises
#
# 1. Set `models = "untrained/mono-mel,untrained/multi-mel"`. Which differences are left?
#
# <details><summary>What to expect</summary>
#
# Those of the gray markers: what the architecture does without training.
#
# </details>
#
# 2. In the first example, change `first_center` to 0.0. Why does the grid give other frames?
#
# <details><summary>What to expect</summary>
#
# Windows of the grid begin at time 0, and a frame belongs to the window that its center is in.
#
# </details>

# %% [markdown]
# ## The data of this chapter
#
# {download}`All tables as CSV and Parquet, with the meaning of every column <data/07_resolution.zip>`.

# %% tags=["remove-cell"]
shown.publish(run, "07_resolution", {"scores": scores, "effects": effects})

# %% [markdown]
# Back to [what all this supports](06_conclusions).
