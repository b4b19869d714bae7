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
# # What the resolution costs
#
# **How much does downsampling save, where, when, and why not more?** Time does not depend on what a model has learned, so
# this chapter needs no small stand-ins: it builds HuBERT, MR-HuBERT and the published ablations at their real size, with
# random weights, and counts and times them on the machine that runs this page.
#
# Prerequisites: the layers of a Transformer; nothing from other chapters.

# %% [markdown] tags=["badges", "remove-cell"]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/multires/multires/blob/main/notebooks/04_efficiency.ipynb)
# [![Launch in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/multires/multires/main?labpath=notebooks/04_efficiency.ipynb)

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
profile: str = "librispeech-sample"  # or synthetic, librispeech, paper: names the run; models are real-size in each
seed: int = 0  # of weights, input noise and bootstraps; times are always measured again
workspace: str = "workspace"  # folder that keeps tables between runs
size: str = "base"  # small, base, large or xlarge: the size of every model on this page
setting: str = "quick"  # quick, or thorough (up to 60 s of speech, batches, ablations)
device: str = "cpu"  # cpu, cuda or cuda:N
precision: str = "float32"  # float32, bfloat16 or, on a GPU, float16
experiment: str = ""  # folder of your own controlled experiment; empty for the one in the package

# %% tags=["hide-input"]
from IPython.display import Markdown

from multires import open_run
from multires.analysis import stages
from multires.book import shown
from multires.book.parameters import notebook_parameters
from multires.efficiency import stored_costs
from multires.experiment.tables import experiment_tables
from multires.report import costs
from multires.report.escape import styled
from multires.report.figures import efficiency as charts
from multires.report.figures.style import use_style

given = notebook_parameters(globals())
switched = experiment_tables(given.experiment)
# This chapter reads no speech and builds its models at their real size: the profile's own are not loaded.
run = open_run(corpus="librispeech-sample", models="mel", reference_model="mel", **given.for_run)
use_style()

# %% [markdown]
# ## The idea
#
# A Transformer layer {cite:p}`vaswani2017attention` of width $d$ with an inner layer of width $f$ reads $T$ frames. Its
# matrix products take {eq}`eq-cost`
#
# $$
# C(T) = \underbrace{4\,T d^2}_{\text{attention, linear}} + \underbrace{2\,T^2 d}_{\text{attention, quadratic}}
#      + \underbrace{2\,T d f}_{\text{feed-forward}}
# $$ (eq-cost)
#
# {term}`multiply-accumulates <multiply-accumulate>`. {term}`Downsampling <downsampling>` by $r$ turns $T$ into $T / r$: the linear terms of the layers at the low resolution
# fall to $1/r$, the quadratic one to $1/r^2$. What stays at full rate is the other layers, the samplers that were added,
# and above all the waveform encoder, whose seven convolutions run before any frame is dropped. If the layers at the low
# resolution took a share $s$ of the time, Amdahl's law {cite:p}`amdahl1967validity` leaves {eq}`eq-amdahl`
#
# $$
# \frac{t_{\text{down}}}{t_{\text{mono}}} = 1 - s \left( 1 - \frac{1}{r} \right) \;\ge\; 1 - s ,
# $$ (eq-amdahl)
#
# however large $r$ is. The measured time over a duration $T$ of speech is fitted by {eq}`eq-fit`
#
# $$
# t(T) = a + b\,T + c\,T^2, \qquad a, b, c \ge 0 ,
# $$ (eq-fit)
#
# the overhead of a call, the work that grows with the speech, and attention's scores.
#
# There are two references. **HuBERT** {cite:p}`hsu2021hubert` has the same number of layers and no samplers:
# what a user would otherwise run. The {term}`20 ms control <control>` has every module of MR-HuBERT {cite:p}`shi2024multiresolution`,
# samplers included, and never downsamples: the ratio to it is the effect of downsampling alone.
#
# Times are taken in turn (A B C A B C ...) in one process after a warm-up, compared round by round, and given as medians
# with 95 % bootstrap intervals over rounds. Where an interval is too wide to mean anything, the number is withheld and
# the page says so.

# %% [markdown]
# ## The cost of one layer: try it
#
# Multiply-accumulates of a Transformer layer {eq}`eq-cost`, and what remains of them when the number of frames is halved.
# Change the seconds: the longer the speech, the more the quadratic term counts.


# %%
def multiply_accumulates(frames, width=768, inner=3072):
    return 4 * frames * width**2 + 2 * frames**2 * width + 2 * frames * width * inner


seconds = 10
frames = 50 * seconds  # of 20 ms
multiply_accumulates(frames / 2) / multiply_accumulates(frames)

# %% tags=["hide-input"]
efficiency = stages.efficiency(run, precision=given.precision)
shown.folded(
    efficiency.table,
    "efficiency",
    {
        "model": "Model",
        "measure": "Measure",
        "part": "Part",
        "duration": "Seconds of speech",
        "value": "Value",
        "low": "Low",
        "high": "High",
        "unit": "Unit",
        "source": "Source",
    },
)

# %% [markdown]
# ## Operation counts
#
# {numref}`fig-macs` adds up the multiply-accumulates of one forward pass, part by part.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Multiply-accumulates of one forward pass, by part, for HuBERT, the control, MR-HuBERT, the published ablations and two factors that nobody trained. The dark bar on the left is the waveform encoder: the same for all.", "name": "fig-macs"}, "image": {"alt": "Stacked horizontal bars, one for each configuration, with the total at the end of each."}}
charts.macs_by_part(efficiency.table)
# %% tags=["hide-input"]
Markdown(costs.counted(efficiency.table))

# %% [markdown]
# What if more layers ran at the low resolution, or at a lower one ({numref}`fig-savings`)?

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Counted saving against the number of layers at the low resolution. Color is the resolution reached; diamonds, where there are any, are measured. The largest step is the first factor of two. With all layers but one, or all, at the low resolution nothing can be built: the U shape needs a layer before and one after, and these are counted only.", "name": "fig-savings"}, "image": {"alt": "Three rising lines of saving in per cent against layers at the low resolution, for downsampling by 2, 4 and 8."}}
charts.savings(efficiency.table)
# %% [markdown]
# ## Timings
#
# {numref}`fig-latency` has the time of a forward pass and its ratio to the control; the table below it has the numbers.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Above: time for one utterance; points are medians with 95 % intervals, lines the fit with its band. Below: the ratio to the control, measured (points) and counted (dashed). The gray band is what the control reads against itself.", "name": "fig-latency"}, "image": {"alt": "Two panels over seconds of speech: computation time of three models, and their ratio to the control."}}
charts.latency(efficiency.table)
# %% tags=["hide-input"]
Markdown(costs.measured(efficiency.table))

# %% tags=["hide-input"]
styled(costs.overview(efficiency.table))

# %% [markdown]
# ## Where time goes
#
# {numref}`fig-parts` sets the time of each part beside its count.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of each part: of time, measured, and of multiply-accumulates, counted. The interval drawn is that of the waveform encoder's time. What has time and no count is norms, activations and the calls themselves.", "name": "fig-parts"}, "image": {"alt": "Pairs of stacked bars, measured time above counted work, for each of three models."}}
charts.time_by_part(efficiency.table)
# %% tags=["hide-input"]
Markdown(costs.explained(efficiency.table))

# %% [markdown]
# ## On other machines
#
# Every table that comes with the package, and those that `python -m multires.efficiency.stored_costs` has added here, with the
# machine named.

# %% tags=["hide-input"]
kept = stored_costs.stored_costs()
second = [
    stages.efficiency(run, precision=p).table for p in stored_costs.precisions(given.device) if p != given.precision
]
styled(stored_costs.beside([efficiency.table, *second, *(each.table for each in kept)]))

# %% tags=["hide-input"]
Markdown(stored_costs.summary_of(kept))

# %% [markdown]
# ## Cost versus quality
#
# Is what is cheaper worse? {numref}`fig-traded` sets the cost of each architecture beside what the models of the
# [controlled experiment](05_downstream) are good for.

# %% tags=["hide-input"]
scores = {each.corpus: each.by_seed("phone_recognition") for each in switched}
trade = costs.trade(efficiency.table, scores)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Cost against score, one point a condition of the controlled experiment: the cost of its architecture at the size of this page, over the control's, and the share of phones that a light head on its small models recognizes, mean over seeds, each with its 95 % interval. Filled: with the auxiliary loss. Up is better, left is cheaper.", "name": "fig-traded"}, "image": {"alt": "A panel for each corpus with a point for each condition: cost over the control's across, score up, with intervals both ways."}}
charts.traded(trade, efficiency.table)
# %% tags=["hide-input"]
Markdown(costs.traded(trade, efficiency.table))

# %% [markdown]
# **What would change this.** Another machine, a GPU most of all, where overheads are a larger share and matrix products a
# smaller one: `device`. Longer speech and batches: `setting`. Larger models, whose waveform encoder is a smaller share:
# `size`. Other work on the machine while this page ran; the intervals, and the ratios withheld, show it.

# %% tags=["hide-input"]
Markdown(f"**In this run:** {costs.conclusion(efficiency.table)}")

# %% [markdown]
# ## Exercises
#
# 1. Set `size = "small"`. Does downsampling save a larger or a smaller share?
#
# <details><summary>What to expect</summary>
#
# It depends on the share of the waveform encoder, which downsampling does not touch: the first figure of this chapter
# shows that share for each size.
#
# </details>
#
# 2. Set `setting = "thorough"`. What does longer speech do to the ratio?
#
# <details><summary>What to expect</summary>
#
# The counted ratio falls with the length of the speech, because attention's quadratic term is divided by four. The
# measured ratio follows it as far as the machine is quiet.
#
# </details>

# %% [markdown]
# ## The data of this chapter
#
# {download}`All tables as CSV and Parquet, with the meaning of every column <data/04_efficiency.zip>`.

# %% tags=["remove-cell"]
shown.publish(run, "04_efficiency", {"efficiency": efficiency})

# %% [markdown]
# Efficiency says nothing about quality. Next: [what the layers are good for](05_downstream).
