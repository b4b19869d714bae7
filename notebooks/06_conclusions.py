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
# # What this run supports
#
# **Is it the downsampling or the auxiliary loss that makes the difference, and what does downsampling save?** This
# chapter reads the tables of the others and says, claim by claim, what they support. All numbers and sentences are
# computed: another corpus, other models or another seed give others.
#
# Prerequisites: none for the verdicts; chapters [2](02_cca), [4](04_efficiency) and [5](05_downstream) for the evidence.

# %% [markdown] tags=["badges", "remove-cell"]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/multires/multires/blob/main/notebooks/06_conclusions.ipynb)
# [![Launch in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/multires/multires/main?labpath=notebooks/06_conclusions.ipynb)

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
seed: int = 0  # of synthesis, samples, folds, clusters, heads and bootstraps
workspace: str = "workspace"  # folder that keeps vectors and tables between runs
models: str = ""  # comma-separated models (`multires models` lists them); empty for the profile's own
layers: str = ""  # comma-separated layers, such as "encoder.0.1,middle.0"; empty for all
device: str = "cpu"  # cpu, cuda or cuda:N
frames: int = 0  # frames sampled from each split; 0 for the profile's own number
utterances: int = 0  # utterances of each split at most, spread over its speakers; 0 for the profile's own number
variant: str = ""  # of CCA: mean, svcca, pwcca, layerwise-analysis or cka; empty for the profile's own
experiment: str = ""  # folder of your own controlled experiment; empty for the one in the package

# %% tags=["hide-input"]
from IPython.display import Markdown

from multires import open_run
from multires.analysis import stages
from multires.book import evidence, landing, shown
from multires.book.parameters import notebook_parameters
from multires.experiment.sensitivity import shipped_sensitivity
from multires.experiment.tables import experiment_tables
from multires.report import figures, sentences
from multires.report import verdicts as claims
from multires.report.advice import advice
from multires.report.names import speech_name

given = notebook_parameters(globals())
switched = experiment_tables(given.experiment)  # a folder without tables is refused before anything is computed
run = open_run(**given.for_run)
figures.use_style()

# %% [markdown]
# ## How a verdict is reached
#
# Verdicts on the first two claims come from the controlled experiment of [chapter 5](05_downstream), by rules that
# were fixed before its models were scored: [the analysis plan](../book/plan). Each effect {eq}`eq-effect` is a weighted sum of the scores
# $m_c$ of conditions, for example of the auxiliary loss less that of the downsampling,
#
# $$
# \Delta = m_{\text{mono+aux}} - m_{\text{multi}} ,
# $$ (eq-effect)
#
# and is compared with the smallest effect of interest, a fifth of HuBERT's lead over MFCC. An effect is superior, equivalent
# or inferior if its whole 95 % interval lies above, within or below that size, and undecided otherwise. Where models with both
# switches are not shown to be better than HuBERT, there is nothing to attribute, and the first claim gets no other verdict.
#
# *This run* looks at the models named below. Their differences are shown beside the experiment's, and no verdict on the
# first two claims is drawn from them: a difference between two trained models is not yet an effect of what
# distinguishes them. The third claim does not depend on weights. All these models are small, and none is the paper's.

# %% [markdown]
# ## From differences to an interval: try it
#
# Five differences, one a seed, drawn at random around 0.01, and their 95 % interval by Student's distribution. Change the
# number of seeds: the interval gets narrower.

# %%
import numpy as np

from multires.measures.student import student_interval

differences = np.random.default_rng(0).normal(0.01, 0.01, size=5)
interval = student_interval(differences)
round(float(interval.low), 3), round(float(interval.high), 3)

# %% tags=["hide-input"]
judged = evidence.claims(run, given.experiment)
verdicts = claims.summary(judged.table)
heading = f"{speech_name(run.corpus.name)}; {sentences.models(stages.subject_table(run))}"
Markdown(landing.verdict_markdown(verdicts, heading, linked=False))

# %% [markdown]
# ## The evidence
#
# {numref}`fig-claims` shows every piece of evidence with its interval.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Every piece of evidence with its 95 % interval. Filled: decides about the claim; open: leaves it open or, as a diamond, cannot test it. Gray: effects too small to be of interest.", "name": "fig-claims"}, "image": {"alt": "A forest plot: differences of scores with intervals around zero, and cost ratios with intervals around one."}}
decisive = judged.table[judged.table["primary"].astype(bool)]
headline = figures.claims(decisive, corpus=run.corpus.name, models=sentences.models(stages.subject_table(run)))
headline

# %% tags=["hide-input"]
shown.folded(
    judged.table,
    "verdicts",
    {
        "claim": "Claim",
        "source": "Source",
        "evidence": "Evidence",
        "value": "Effect",
        "low": "Low",
        "high": "High",
        "verdict": "Verdict",
    },
)

# %% tags=["remove-cell"]
targets = None if given.experiment else shipped_sensitivity()
landing.write_landing(
    run.workspace / "book",
    landing.landing_markdown(judged.table, switched, targets),
    headline,
    sentences.headline(decisive),
)

# %% [markdown]
# ## What this means if you choose or train a model

# %% tags=["hide-input"]
Markdown(advice(switched, judged.table))

# %% [markdown]
# ## Where the numbers come from
#
# Every table is stored with its provenance: parameters, versions, revision, date and machine.

# %% tags=["hide-input"]
{key: judged.source[key] for key in ("profile", "multires", "revision", "date", "machine")}

# %% tags=["hide-input"]
Markdown(sentences.conclusion(verdicts, heading))

# %% [markdown]
# ## Exercises
#
# 1. Run chapter 5 and this one with another `seed`. Do the verdicts on the first two claims change?
#
# <details><summary>What to expect</summary>
#
# No: they rest on the controlled experiment's stored tables. The numbers of this run beside them do change.
#
# </details>
#
# 2. Set `profile = "librispeech"` and `data` to a folder with LibriSpeech. What is different?
#
# <details><summary>What to expect</summary>
#
# The corpus is the one in the folder. The models and the evidence from the experiment stay the same.
#
# </details>

# %% [markdown]
# ## The data of this chapter
#
# {download}`All tables as CSV and Parquet, with the meaning of every column <data/06_conclusions.zip>`.

# %% tags=["remove-cell"]
shown.publish(run, "06_conclusions", {"verdicts": judged})

# %% [markdown]
# Next: [run it again](../book/rerun) with other speech, models or seeds, or [look at any model](../book/explorer) of the
# registry.
