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
# chapter reads the tables of the others and says, claim by claim, what they support. Nothing here is typed in: another
# corpus, other models or another seed give other sentences.

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
profile: str = "embedded"  # embedded (synthetic speech, runs anywhere), librispeech (a folder) or paper
data: str = ""  # folder of the corpus; embedded needs none, paper downloads what it needs where none is named
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
from multires.book import landing
from multires.book.parameters import notebook_parameters
from multires.experiment.tables import experiment_tables
from multires.report import figures, sentences
from multires.report import verdicts as claims

given = notebook_parameters(globals())
experiment_tables(given.experiment)  # a folder without tables is refused before anything is computed
run = open_run(**given.for_run)
figures.use_style()

# %% [markdown]
# ## How a verdict is reached
#
# Each piece of evidence is a difference {eq}`eq-effect` between two conditions that differ in one thing, on the best single layer of
# each, paired by seed:
#
# $$
# \Delta = \frac{1}{S} \sum_{s=1}^{S} \left( \max_l\, m_s^{\text{with}}(l) - \max_l\, m_s^{\text{without}}(l) \right) ,
# $$ (eq-effect)
#
# with a 95 % interval: Student's over three seeds or more, otherwise from the scores' own intervals. An effect whose
# interval stays below the smallest difference that matters here is taken as no gain; one that surely is a gain, but
# surely a smaller one than that, leaves a claim open. No verdict on the first two claims
# is drawn from untrained models: random weights say what an architecture does, not what training makes of it. The
# third claim does not depend on weights.
#
# Two kinds of evidence stand side by side. *This run* looks at the models named below, one of each condition; its intervals
# are those of the scores. The *experiment* of [chapter 5](05_downstream) has several seeds of each condition, so its
# intervals say what training again would change. Its verdicts rest on two outcomes chosen beforehand, and none is drawn
# from models that learned too little to carry it. All these models are small, and none is the paper's.

# %%
judged = stages.claims(run, given.experiment)
verdicts = claims.summary(judged.table)
heading = f"{run.corpus.name} speech; {sentences.models(stages.cca(run).table)}"
Markdown(landing.verdict_markdown(verdicts, heading, linked=False))

# %% [markdown]
# ## The evidence
#
# {numref}`fig-claims` shows every piece of evidence with its interval.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Every piece of evidence with its 95 % interval. Filled: decides for or against the claim; open: leaves it open or, as a diamond, cannot test it.", "name": "fig-claims"}, "image": {"alt": "A forest plot: differences of scores with intervals around zero, and cost ratios with intervals around one."}}
decisive = judged.table[judged.table["primary"].astype(bool)]
headline = figures.claims(decisive, corpus=run.corpus.name, models=sentences.models(stages.cca(run).table))
headline

# %%
judged.table[["claim", "source", "evidence", "value", "low", "high", "n", "verdict"]].style.hide(axis="index").format(
    precision=3
)

# %% tags=["remove-cell"]
landing.write_landing(
    run.workspace / "book", landing.verdict_markdown(verdicts, heading), headline, sentences.headline(decisive)
)

# %% [markdown]
# ## Where the numbers come from
#
# Beside every table stands its provenance: parameters, versions, revision, date and machine.

# %% tags=["hide-input"]
{key: judged.source[key] for key in ("profile", "multires", "revision", "date", "machine")}

# %% tags=["hide-input"]
Markdown(sentences.conclusion(verdicts, heading))

# %% [markdown]
# Next: [run it again](../book/rerun) with other speech, models or seeds, or [look at any model](../book/explorer) of the
# registry.
