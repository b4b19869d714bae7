import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.anova import AnovaRM

from multires.errors import MultiresError
from multires.experiment.earlier import (
    CELLS,
    TASKS,
    WORDS,
    adapt,
    carries,
    cell_means,
    effects,
    with_primary,
)


def synthetic(seeds=5, aux=0.1, down=-0.03, both=0.02, noise=0.01, score="phone"):
    """Scores that are sums of known effects, of a seed's own level, and of noise."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(seeds):
        level = 0.5 + 0.1 * rng.normal()
        for cell in CELLS:
            a, d = cell.endswith("+aux"), cell.startswith("multi")
            value = level + aux * a + down * d + both * a * d + noise * rng.normal()
            rows.append({"condition": cell, "seed": seed, "score": score, "value": value})
        rows.append({"condition": "hubert", "seed": seed, "score": score, "value": level - 0.2 + noise * rng.normal()})
    return pd.DataFrame(rows)


def test_effects_without_noise_are_the_ones_put_in():
    found = effects(synthetic(noise=0.0)).set_index("effect")
    assert found.loc["auxiliary loss", "value"] == pytest.approx(0.1 + 0.01)
    assert found.loc["downsampling", "value"] == pytest.approx(-0.03 + 0.01)
    assert found.loc["interaction", "value"] == pytest.approx(0.02)
    assert found.loc["mono - hubert", "value"] == pytest.approx(0.2)
    assert found.loc["multi+aux - hubert", "value"] == pytest.approx(0.2 + 0.1 - 0.03 + 0.02)
    assert np.allclose(found["high"] - found["low"], 0, atol=1e-12)


def test_the_tests_are_those_of_repeated_measures_anova():
    table = synthetic(noise=0.05)
    found = effects(table).set_index("effect")
    crossed = table[table["condition"].isin(CELLS)].copy()
    crossed["aux"] = crossed["condition"].str.endswith("+aux")
    crossed["down"] = crossed["condition"].str.startswith("multi")
    anova = AnovaRM(crossed, "value", "seed", within=["aux", "down"]).fit().anova_table
    for effect, term in (("auxiliary loss", "aux"), ("downsampling", "down"), ("interaction", "aux:down")):
        assert found.loc[effect, "p"] == pytest.approx(anova.loc[term, "Pr > F"], rel=1e-6)


def test_intervals_are_paired_student_intervals():
    table = synthetic(noise=0.05)
    wide = table.pivot_table(index="seed", columns="condition", values="value")
    difference = wide["multi+aux"] - wide["hubert"]
    row = effects(table).set_index("effect").loc["multi+aux - hubert"]
    low, high = stats.t.interval(0.95, len(difference) - 1, difference.mean(), stats.sem(difference))
    assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))
    assert row["n"] == 5


def test_a_seeds_own_level_cancels():
    table = synthetic()
    moved = table.assign(value=table["value"] + 10.0 * table["seed"])
    assert np.allclose(effects(table)[["value", "low", "high"]], effects(moved)[["value", "low", "high"]])


def test_incomplete_seeds_are_counted():
    table = synthetic()
    table = table[~((table["condition"] == "multi") & (table["seed"] == 2))]
    found = effects(table).set_index("effect")
    assert (found.loc["auxiliary loss", "n"], found.loc["auxiliary loss", "left_out"]) == (4, 1)
    assert (found.loc["mono - hubert", "n"], found.loc["mono - hubert", "left_out"]) == (5, 0)


def test_one_seed_gives_no_interval():
    found = effects(synthetic(seeds=1))
    assert found[["low", "high", "p"]].isna().all().all()


def test_without_hubert_its_contrasts_are_absent():
    table = synthetic()
    assert set(effects(table[table["condition"] != "hubert"])["effect"]) == {
        "auxiliary loss", "downsampling", "interaction",
    }  # fmt: skip


def test_false_positives_are_as_rare_as_the_level_says():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        [{"condition": cell, "seed": seed, "score": score, "value": rng.normal()}
         for score in range(120) for seed in range(4) for cell in CELLS]
    )  # fmt: skip
    found = effects(table)
    wrong = ((found["low"] > 0) | (found["high"] < 0)).mean()
    assert 0.02 < wrong < 0.08


def test_cell_means():
    table = synthetic()
    means = cell_means(table).set_index("condition")
    assert means.loc["hubert", "value"] == pytest.approx(table[table["condition"] == "hubert"]["value"].mean())
    assert (means["n"] == 5).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [(lambda t: t.drop(columns="seed"), "no column seed"), (lambda t: pd.concat([t, t]), "two values"),
     (lambda t: t.assign(value=np.nan), "not finite")],
)  # fmt: skip
def test_tables_that_cannot_be_judged_are_refused(change, words):
    with pytest.raises(MultiresError, match=words):
        effects(change(synthetic()))


def probes(trained, baseline=0.5):
    rows = [
        {"condition": "hubert", "seed": s, "layer": f"encoder.0.{i}", "value": trained - 0.1 * i}
        for s in (0, 1)
        for i in (0, 1)
    ]
    rows += [
        {"condition": name, "seed": 0, "layer": "x", "value": baseline} for name in ("mfcc", "mel", "untrained hubert")
    ]
    return pd.DataFrame(rows)


def curve(losses):
    steps = np.arange(1, len(losses) + 1) * 100
    return pd.DataFrame(
        {"condition": "hubert", "seed": 0, "step": steps, "part": "held out", "resolution": 0, "loss": losses}
    )


def test_models_carry_the_experiment_where_they_beat_every_baseline_and_have_flattened():
    flat, falling = curve(4 * 0.7 ** np.arange(20)), curve(np.linspace(4, 2, 20))
    assert carries(probes(0.6), flat).iloc[0]["carries"]
    assert not carries(probes(0.52), flat).iloc[0]["beats"]
    late = carries(probes(0.6), falling).iloc[0]
    assert late["last_fifth"] == pytest.approx(0.2, abs=0.02)
    assert late["beats"]
    assert not late["carries"]
    assert not carries(probes(0.6), curve(np.full(20, 4.0))).iloc[0]["flattened"]


def test_missing_baselines_are_said():
    with pytest.raises(MultiresError, match="lack the baseline mfcc"):
        carries(probes(0.6).query("condition != 'mfcc'"), curve(np.ones(9)))
    with pytest.raises(MultiresError, match="untrained hubert"):
        carries(probes(0.6).query("condition != 'untrained hubert'"), curve(np.ones(9)))


def test_primary_outcomes_are_means_of_their_parts():
    rows = [
        {"condition": condition, "seed": 0, "score": score, "value": value}
        for condition in ("mono", "multi", "untrained mono")
        for score, value in (("phone accuracy, weighted sum", 0.6), ("phone error rate, weighted sum", 0.3),
                             ("word CCA, best layer", 0.4), ("word MI, best layer", 0.2))
    ]  # fmt: skip
    rows.append({"condition": "mono", "seed": 0, "score": "intent accuracy, weighted sum", "value": 0.0})
    table = with_primary(pd.DataFrame(rows))
    found = table[table["score"].isin([TASKS, WORDS])].set_index(["score", "condition"])["value"].to_dict()
    # Intent is not known of every model, so it is no part of the mean.
    assert found == pytest.approx(
        {(TASKS, "mono"): 0.65, (TASKS, "multi"): 0.65, (WORDS, "mono"): 0.3, (WORDS, "multi"): 0.3}
    )
    assert len(table) == 4 + len(rows)


def scores(levels, *, layers=(("encoder.0", 1), ("middle", 2)), seeds=3):
    """Every score that the plan's outcomes need, at a level for each condition and a step for each seed."""
    rows = []
    for stage, view, measure in (("probe", "phone frame", "accuracy"), ("probe", "word", "accuracy"),
                                 ("cca", "word", "pwcca"), ("information", "word", "adjusted")):  # fmt: skip
        for condition, level in levels.items():
            acoustic = condition in ("mel", "mfcc")
            for seed in range(1 if acoustic or condition.startswith("untrained") else seeds):
                for block, depth in (("conv", 0), *layers):
                    if acoustic and depth:
                        continue
                    rows.append({
                        "stage": stage, "view": view, "measure": measure, "trial": None, "condition": condition,
                        "model": condition, "seed": seed, "block": "encoder.0" if condition == "hubert" and depth else block,
                        "layer_index": depth, "value": 0.99 if block == "conv" and not acoustic else level + 0.001 * seed,
                    })  # fmt: skip
    return pd.DataFrame(rows)


def test_earlier_tables_are_judged_by_the_plan():
    levels = {"mfcc": 0.3, "mel": 0.2, "hubert": 0.4, "mono": 0.4, "mono+aux": 0.5, "multi": 0.4, "multi+aux": 0.5,
              "untrained mono": 0.1, "untrained multi": 0.15}  # fmt: skip
    table, claims = adapt(scores(levels), pd.DataFrame({"carries": [True]}))
    assert claims["verdict"].tolist() == ["supports", "supports"]
    rows = table.set_index(["outcome", "estimand"])
    row = rows.loc[("word_cca", "difference")]
    assert (row["value"], row["lead"], row["interest"]) == pytest.approx((0.1, 0.1 + 0.001, 0.2 * 0.101))
    assert rows.loc[("word_cca", "downsampling"), "untrained"] == pytest.approx(0.05)
    # The input layer, at 0.99 in every model, is never the best one.
    assert table["value"].abs().max() < 0.2
    low, _ = adapt(scores({**levels, "hubert": 0.25}), pd.DataFrame({"carries": [True]}))
    assert low["interest"].isna().all()
