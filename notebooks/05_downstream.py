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
# **Do the auxiliary loss or the downsampling make the layers better at a task?** The models are frozen; a light head is
# trained on top, and judged on other speakers. This is how SUPERB {cite:p}`yang2021superb` compares speech models.

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
profile = "embedded"  # embedded (synthetic speech, runs anywhere), librispeech (a folder) or paper
data = ""  # folder of the corpus; not needed by the embedded profile
seed = 0  # of synthesis, of the sample of segments, of heads and bootstraps
workspace = "workspace"  # folder that keeps vectors and tables between runs
models = ""  # comma-separated models (`multires models` lists them); empty for the profile's own
layers = ""  # comma-separated layers, such as "encoder.0.1,middle.0"; empty for all
device = "cpu"  # cpu, cuda or cuda:N, for extraction
frames = 0  # frames sampled from each split; 0 for the profile's own number
probe_instances = 0  # segments that train or test a probe at most; 0 for the profile's own number

# %% tags=["hide-input"]
from IPython.display import Markdown

from multires import figures, findings, open_run, stages

run = open_run(
    profile, data=data, seed=seed, workspace=workspace, models=models or None, layers=layers or None, device=device,
    frames=frames or None, probe_instances=probe_instances or None,
)  # fmt: skip
figures.use_style()

# %% [markdown]
# ## The idea
#
# A probe is multinomial logistic regression on the pooled vectors $v$ of a segment: $p(y \mid v) \propto
# \exp(w_y^\top v + b_y)$. It is fitted to every layer alone, and to a weighted sum of all layers whose weights are
# learned with it:
#
# $$
# v = \sum_l \frac{e^{a_l}}{\sum_k e^{a_k}}\, \bar{v}_l ,
# $$ (eq-weighted)
#
# with $\bar{v}_l$ the layer's vectors, standardised. Phones and words are classified for speakers who were not in
# training. Speakers are identified from other utterances of the same speakers.

# %%
probes = stages.probes(run)
probes.table[["model", "layer", "view", "measure", "value", "low", "high", "n"]].head()

# %% [markdown]
# ## Each layer alone

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Accuracy of linear probes on each layer. Bars are 95 % intervals over speakers (over utterances for speaker identification); the grey band is heads trained on shuffled labels; dashed lines are the acoustic features.", "name": "fig-probes"}, "image": {"alt": "A panel for each task with probe accuracy by depth for every model, chance bands, and dashed lines for acoustic features."}}
figures.probes_by_layer(probes.table, corpus=run.corpus.name, models=findings.models(probes.table))
# %% tags=["hide-input"]
Markdown(findings.probes(probes.table))

# %% [markdown]
# ## All layers together, weighted

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Accuracy of a head on the learned weighted sum of all layers, beside the best single layer and the acoustic features.", "name": "fig-weighted"}, "image": {"alt": "For each task and model a point with an interval for the weighted sum, beside the best single layer and the acoustic features."}}
figures.weighted_sums(probes.table, corpus=run.corpus.name, models=findings.models(probes.table))
# %% tags=["hide-input"]
Markdown(findings.weighted_sums(probes.table))

# %% [markdown]
# ## Do CCA and MI predict what a layer is good for?
#
# The measures of the last chapters are cheap; a task is what one wants to know about. If they rank layers as the probes
# do, they can stand in for them.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Every layer of every model: probe accuracy beside CCA and MI with the same labels. The number is Spearman's rank correlation.", "name": "fig-agreement"}, "image": {"alt": "Scatter plots of probe accuracy against CCA and against mutual information, for phones and words, coloured by frame period."}}
agreement = stages.agreement(run)
figures.agreement(agreement.table, corpus=run.corpus.name, models=findings.models(probes.table))
# %% tags=["hide-input"]
Markdown(findings.agreement(agreement.table))

# %% [markdown]
# **What would change this.** Trained models above all; a stronger head; more speech. Next:
# [what all this supports](06_conclusions).
