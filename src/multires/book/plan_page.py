"""The book's page on the analysis plan: `python -m multires.book.plan_page` writes it from the plan's constants."""

from __future__ import annotations

import logging
from pathlib import Path

from multires.book.notebooks import checkout
from multires.errors import MultiresError
from multires.experiment.plan import PLAN, Outcome, Plan
from multires.experiment.speakers import Settings
from multires.runtime.notices import show_notices

_LOG = logging.getLogger(__name__)


PAGE = Path("book") / "plan.md"


def page(plan: Plan = PLAN) -> str:
    """The page in Markdown.

    Parameters
    ----------
    plan
        Whose constants it states.
    """
    level = f"{100 * plan.level:.0f} %"
    share = f"{100 * plan.interest.share:.0f} %"
    tasks, words = len(plan.primary("tasks")), len(plan.primary("words"))
    gate = plan.gates
    learned = plan.outcome(gate.learned_outcome).name
    sizes = Settings()
    steps = ", ".join(str(each) for each in sizes.steps)
    lead = f"{plan.interest.condition}'s lead over {plan.interest.baseline.upper()}"
    return f"""# The analysis plan

What counts as evidence in the controlled experiment, and how much of it is enough?

This page states the rules by which chapters [5](../notebooks/05_downstream) and [6](../notebooks/06_conclusions) draw
their verdicts. They were committed before any model that they apply to was scored. The page is written from the
constants that the code itself uses (`multires.experiment.plan`), so that the two cannot differ, and ends with the
history of every change.

## Questions

1. **Claim 1**: the gain of MR-HuBERT over HuBERT comes from the auxiliary low-resolution loss, not from the
   downsampling.
2. **Claim 2**: downsampling improves neither tasks nor what layers say about words.

Claim 3, on cost, needs no model of this experiment; chapter [4](../notebooks/04_efficiency) measures it.

## Speakers

Every speaker has one role: models are pre-trained on some, probes, clusters and canonical directions are fitted on others,
layers and the length of training of heads are chosen on *development* speakers, and every reported score is measured on
*test* speakers. Scores are stored for each test speaker as a number of correct items and a total.

## Outcomes

Layers of 20 and of 40 ms are compared on one grid of {plan.grid} ms, so that no model gains or loses by its frame rate alone.
All outcomes are oriented so that more is better; an error rate enters as one minus itself.

{_outcomes(plan)}

- **Layers.** For each condition and outcome the layer is the best on development speakers, on average over seeds. What lies
  before the first transformer layer is never a candidate. For the middle block the candidates are its layers; for `hubert`,
  which has no blocks, those at the same depths. For acoustic features it is their only layer.
- **Forms.** A 20 ms layer is taken to {plan.grid} ms in two ways, by averaging pairs of frames and by leaving out every second.
  For the two outcomes on words both are scored, and development speakers choose between them as between layers, so that the
  20 ms control is judged in its better form; the other form is reported beside it. The tasks use the average.
- **Sizes.** The phone probe is fitted to at most {sizes.windows:,} windows drawn at random; word vectors have {sizes.clusters} clusters; the
  recognition head is trained for {steps} steps in turn, each time from the start, until more steps save less than {100 * sizes.gain:.0f} % of the
  error on development speakers.
- **Words** are the word types that occur at least {plan.word_occurrences} times among the fitting speakers.
- **Pseudo-values.** A correlation and a mutual information are not sums over speakers. The value of a speaker is then the
  jackknife pseudo-value $h\\,\\theta - (h - 1)\\,\\theta_{{-k}}$, where $\\theta_{{-k}}$ leaves out speaker $k$ and $h$ is the number of all
  items over that speaker's {{cite:p}}`busing1999delete`.
- **Baselines.** Log-mel, MFCC and untrained models of each architecture are scored on every outcome, and so are shuffled
  labels. If untrained models show an effect of the same sign, of at least the smallest size of interest and with an interval
  that excludes zero, the outcome is flagged, and a superiority or inferiority on it is not counted.

## Effects

The four U-shaped conditions are a 2 x 2 design: the {{term}}`auxiliary loss` off or on, the {{term}}`downsampling` off or on.

{_estimands(plan)}

## Smallest effect of interest

For each outcome it is **{share} of {lead}** on that outcome: the mean over seeds of `{plan.interest.condition}`'s score, less that of
{plan.interest.baseline.upper()}, *on development speakers*, at the layer chosen there. It is computed before test speakers are scored and
then treated as a constant. If the {level} interval of the lead over development speakers does not lie above zero, there is no such
size: the outcome is reported and takes no part in any verdict.

## Gates

- **Learned.** On {learned}, each condition must lead MFCC, log-mel and the untrained model of its architecture, the lower bound
  of each lead above {gate.learned_margin}; and the last fifth of the training steps must bring no more than {100 * gate.last_fifth:.0f} % of the fall of
  the held-out loss, which must not rise. If one condition fails, no verdict is drawn, except that claim 1 may still have nothing to
  attribute (next gate).
- **Positive control.** On each task, `multi+aux` must lie above `hubert`: the lower bound of the difference above zero, after
  Holm's correction over the {tasks} tasks. If it does so on no task, claim 1 reads *nothing to attribute at this scale*. It is never
  contradicted by models that have no gain.
- **Seeds.** With fewer than {gate.seeds} complete seeds no verdict is drawn. In particular none is drawn from single models, published or
  not: their effects are shown with intervals over speakers, and it is said that these do not cover the variation between
  training runs.

## Intervals and tests

One interval belongs to one difference, and every page shows that one. A contrast gives one number for each seed and test
speaker. Seeds and speakers are crossed random effects; items are nested in speakers. The estimate is the pooled
share of items, and its variance is the sum of what seeds and what speakers contribute, less their common part that would be
counted twice {{cite:p}}`cameron2011robust`; the interval is Student's, with Satterthwaite's degrees of freedom
{{cite:p}}`satterthwaite1946approximate`. Two other methods check it: a mixed model (restricted maximum likelihood, seeds and speakers crossed) and a
bootstrap that resamples seeds and speakers {{cite:p}}`owen2007pigeonhole`. A percentile bootstrap over a few seeds is too narrow on its own, which
is why it is a check. `python -m benchmarks.verdicts --json` simulates tables of the experiment's size and prints how often
the {level} intervals cover the truth.

Beside it stands the exact sign-flip *p* over seeds, which assumes no distribution; with $S$ seeds it cannot fall below
$2^{{1-S}}$: {", ".join(f"{2.0 ** (1 - seeds):.3f} with {seeds}" for seeds in (gate.seeds, 6))}.

Each difference falls into one of four regions, by the {level} interval and the smallest effect of interest $\\Delta$:

| region | interval |
|---|---|
| superior | wholly above $+\\Delta$ |
| equivalent | wholly between $-\\Delta$ and $+\\Delta$ (two one-sided tests {{cite:p}}`schuirmann1987comparison`) |
| inferior | wholly below $-\\Delta$ |
| undecided | otherwise |

The primary tests are the difference of main effects on the {tasks} tasks and the effect of downsampling on the {tasks} tasks and {words}
outcomes on words: {2 * tasks + words} in all. Their regions are subject to Holm's method {{cite:p}}`holm1979simple`, so that the chance of any wrong
region among them is at most {100 * plan.family_error:.0f} %.

## Verdicts

**Claim 1**, from the tasks that have a smallest effect of interest:

| verdict | condition |
|---|---|
| nothing to attribute at this scale | the positive control holds on no task |
| supports | on some task with a positive control the difference of main effects is superior and the auxiliary effect lies above zero; on no task does the interval reach below $-\\Delta$ |
| contradicts | on some task with a positive control the difference is inferior; on no task does the interval reach above $+\\Delta$ |
| neither switch dominates | on every task the difference is equivalent |
| leaves open | otherwise |

**Claim 2**, from the tasks and the outcomes on words:

| verdict | condition |
|---|---|
| contradicts | on some outcome downsampling is superior |
| supports | on every outcome, at least one of them on words, the interval lies below $+\\Delta$: equivalent, inferior, or between the two |
| leaves open | otherwise |

An absence of significance supports nothing. Both rules are monotone: if every interval is replaced by one inside it, a
decided verdict stays as it is. A property test checks this on random intervals.

## Sensitivity

Whether the result depends on the targets is looked at on {len(plan.sensitivity)} tasks that need little time
({", ".join(plan.outcome(key).name for key in plan.sensitivity)}): `hubert` and `multi+aux` are trained with other units, two seeds each, and
compared in the same way. No verdict is drawn from these runs; they show whether the difference keeps its sign.

## History

{_history(plan)}
"""


def _outcomes(plan: Plan) -> str:
    lines = ["| outcome | group | layer | counted | definition |", "|---|---|---|---|---|"]
    lines += [
        f"| {each.name}{'' if each.primary else ' (not primary)'} | {each.group} | {_layer(each)} | "
        f"{each.unit}{'' if each.measured == 'share correct' else ', pseudo-value'} | {each.definition} |"
        for each in plan.outcomes
    ]
    return "\n".join(lines)


def _layer(outcome: Outcome) -> str:
    return {"any layer": "best", "middle block": "best of the middle block", "weighted sum": "all, weighted"}[
        outcome.candidates
    ]


def _estimands(plan: Plan) -> str:
    lines = ["| effect | weights of the conditions | definition |", "|---|---|---|"]
    for each in plan.estimands:
        weights = ", ".join(f"{weight:+g} `{name}`" for name, weight in each.weights.items())
        lines.append(f"| {each.name} | {weights} | {each.definition} |")
    return "\n".join(lines)


def _history(plan: Plan) -> str:
    lines = ["| date | change | reason | before scores of the models it applies to |", "|---|---|---|---|"]
    lines += [
        f"| {each.date} | {each.change} | {each.reason} | {'yes' if each.before_scores else '**no**'} |"
        for each in plan.revisions
    ]
    return "\n".join(lines)


def main() -> int:
    """Write the page into the checkout."""
    show_notices()
    try:
        path = checkout() / PAGE
    except MultiresError as error:
        _LOG.error("multires: %s", error)
        return 2
    path.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
