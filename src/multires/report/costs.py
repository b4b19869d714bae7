"""The efficiency table in sentences, with every number drawn from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from multires.experiment.plan import CONDITIONS, PLAN
from multires.measures.student import student_interval
from multires.report.names import listed


def counted(table: pd.DataFrame) -> str:
    """Operations saved by MR-HuBERT and by the extremes of the what-ifs."""
    ten = _pick(table, "macs_ratio", model="multi", view="mono", duration=10.0)
    longest = _pick(table, "macs_ratio", model="multi", view="mono", duration=60.0)
    hubert = _pick(table, "macs_ratio", model="multi", view="hubert", duration=10.0)
    encoder = _share(table, "multi", "waveform encoder")
    samplers = _share(table, "mono", "samplers")
    sweep = table[
        (table["measure"] == "macs_ratio")
        & (table["view"] == "mono")
        & (table["duration"] == 10.0)
        & table["model"].astype(str).str.startswith("downsample")
    ]
    best = _records(sweep.sort_values("value"))[0]
    checked = table[(table["source"] == "counter") & (table["measure"] == "macs_total")]
    return (
        f"On 10 s of speech MR-HuBERT takes **{ten['value']:.3f}** of the control's multiply-accumulates and "
        f"{hubert['value']:.3f} of HuBERT's, which has no samplers (they are {samplers:.1%} of the control). On 60 s it is "
        f"{longest['value']:.3f} of the control's: attention's quadratic part has grown. The waveform encoder alone is "
        f"{encoder:.0%} of MR-HuBERT's work, runs at full rate in every model, and no downsampling after it can touch it. "
        f"The cheapest of the architectures that nobody trained ({best['model']}) still takes {best['value']:.2f}. "
        f"torch's counter gives the closed form's number exactly for {listed([_name(str(name)) for name in dict.fromkeys(checked['model'])])}, run on "
        f"{checked['duration'].iloc[0]:g} s; a difference would have stopped this page."
    )


def measured(table: pd.DataFrame) -> str:
    """Latency ratios, throughput, training and memory, or why there are none."""
    rows = _records(_ratios(table, "multi", "mono"))
    shown = [row for row in rows if not row["note"]]
    text = f"Measured on {machine(table)}. "
    if shown:
        text += (
            "MR-HuBERT takes "
            + ", ".join(f"{_interval(row)} of the control's time on {row['duration']:g} s" for row in shown)
            + ". "
        )
    against = [row for row in _records(_ratios(table, "multi", "hubert")) if not row["note"]]
    if against:
        text += f"Against HuBERT it is {_interval(against[-1])} on {against[-1]['duration']:g} s. "
    null = [row for row in _records(table[table["measure"] == "null_ratio"]) if not row["note"]]
    if null:
        widest = max(null, key=lambda row: row["high"] - row["low"])
        text += f"A model against itself reads {_interval(widest)} at the noisiest duration: the gray band. "
    withheld = [row for row in rows if row["note"]]
    if withheld:
        text += (
            f"**{len(withheld)} of {len(rows)} ratios to the control are withheld**, such as the one on "
            f"{withheld[0]['duration']:g} s: {withheld[0]['note']}. "
        )
    text += _training(table) + _memory(table) + _energy(table)
    return text.strip()


def explained(table: pd.DataFrame) -> str:
    """Break-even duration, the largest possible saving, and the machine's share."""
    linear = _pick(table, "macs_ratio_linear", model="multi")["value"]
    quadratic = _pick(table, "macs_ratio_quadratic", model="multi")["value"]
    text = (
        f"By count the ratio to the control lies between {linear:.3f}, where attention's quadratic part is negligible, and "
        f"{quadratic:.3f}, where it is everything; no duration can do better. "
    )
    share = _pick(table, "low_share", model="mono")
    if share["note"]:
        text += f"The share of time in the low-resolution block is not shown: {share['note']}. "
    else:
        bound, expected = (_pick(table, name, model="multi") for name in ("amdahl_bound", "amdahl_expected"))
        text += (
            f"By time, the control spends {_interval(share)} of {share['duration']:g} s of speech in the block that "
            f"MR-HuBERT runs at 40 ms. Amdahl's law then allows {_interval(bound)} if that block cost nothing, and "
            f"{_interval(expected)} if it cost half. "
        )
    pays = _pick(table, "pays_from", model="multi", view="mono")
    if pays["note"]:
        text += f"From which duration it pays is not shown: {pays['note']}. "
    else:
        text += f"By the fitted curves, downsampling pays {_pays(pays)}. "
    achieved = [row for row in _records(table[table["measure"] == "achieved_share"]) if not row["note"]]
    rate = _pick(table, "matmul_rate")
    if achieved and not rate["note"]:
        last = {row["model"]: row for row in achieved}
        text += (
            f"One large matrix product runs at {rate['value'] / 1e9:,.0f} billion multiply-accumulates a second here; "
            + ", ".join(f"{_name(name)} reaches {row['value']:.0%} of that" for name, row in last.items())
            + ". "
        )
    return (text + _dearest(table)).strip()


def conclusion(table: pd.DataFrame) -> str:
    """The closing sentence: what this run says about the paper's third claim."""
    counts = _pick(table, "macs_ratio", model="multi", view="mono", duration=10.0)["value"]
    shown = [row for row in _records(_ratios(table, "multi", "mono")) if not row["note"]]
    if not shown:
        return (
            f"By count, downsampling saves {1 - counts:.0%} of the work of the same model on 10 s of speech; this machine was "
            "too noisy during this run to say what it saves in time."
        )
    row = shown[-1]
    if row["high"] < 1:
        verdict = "so downsampling does make this model cheaper, and by no more than the count promises to"
        if row["value"] < counts - 0.01:
            verdict = "so downsampling does make this model cheaper"
    elif row["low"] > 1:
        verdict = "so here it costs time instead of saving it"
    else:
        verdict = "an interval that includes 1, so this run does not show a saving in time"
    return (
        f"Downsampling saves {1 - counts:.0%} of the multiply-accumulates on 10 s of speech and takes {_interval(row)} of the "
        f"control's time on {row['duration']:g} s, {verdict}."
    )


def trade(table: pd.DataFrame, scores: Mapping[str, pd.DataFrame], *, score: str = "") -> pd.DataFrame:
    """Cost beside quality: what each condition of the experiment scores, and what its architecture costs here.

    Parameters
    ----------
    table
        Of efficiency. The cost is the measured time over the control's at the longest duration at which every
        architecture has one, or the counted one where times are withheld.
    scores
        By corpus, one number a model: columns condition, seed, score, value (`ExperimentTables.by_seed`).
    score
        Which of the scores; the first by default.

    Returns
    -------
    DataFrame
        One row a condition and corpus: corpus, condition, score, value with low and high (Student's interval over
        seeds, NaN with one seed), n (seeds), cost with cost_low and cost_high, basis (``measured`` or ``counted``) and
        duration (seconds). Conditions without a cost are left out: untrained models and acoustic features.
    """
    costs, basis, duration = _costs(table)
    found = []
    for corpus, numbers in scores.items():
        if numbers.empty:
            continue
        name = score or str(numbers["score"].iloc[0])
        chosen = (numbers["score"] == name) & numbers["condition"].isin(CONDITIONS)
        for condition, of_seeds in numbers[chosen].groupby("condition")["value"]:
            interval = student_interval(of_seeds, level=PLAN.level)
            cost, low, high = costs[str(condition).removesuffix("+aux")]
            found.append({
                "corpus": corpus, "condition": condition, "score": name, "value": interval.mean,
                "low": interval.low, "high": interval.high, "n": interval.n,
                "cost": cost, "cost_low": low, "cost_high": high, "basis": basis, "duration": duration,
            })  # fmt: skip
    columns = ["corpus", "condition", "score", "value", "low", "high", "n", "cost", "cost_low", "cost_high", "basis",
               "duration"]  # fmt: skip
    return pd.DataFrame(found, columns=columns)


def traded(trade: pd.DataFrame, table: pd.DataFrame) -> str:
    """Quality lost by the cheaper architecture, if an experiment measured it."""
    if trade.empty:
        return (
            "No table of the controlled experiment comes with this installation, so cost cannot be set beside quality "
            "here: `multires experiment` makes one, and the parameter `experiment` of this notebook names its folder."
        )
    first = trade.iloc[0]
    how = "time" if first["basis"] == "measured" else "multiply-accumulates"
    text = (
        f"Costs are {how} over the control's at {_size(table)} size on {first['duration']:g} s of speech; scores are "
        "those of the experiment's small models. "
    )
    for corpus, part in trade.groupby("corpus", sort=False):
        cells = {row["condition"]: row for row in _records(part)}
        pairs = [(a, b) for a, b in (("multi", "mono"), ("multi+aux", "mono+aux")) if a in cells and b in cells]
        sentences = [
            f"{low} scores {cells[low]['value'] - cells[full]['value']:+.3f} against {full} at "
            f"{cells[low]['cost']:.2f} of its cost"
            for low, full in pairs
        ]
        best = part.loc[part["value"].idxmax()]
        seeds = f"{int(part['n'].min())} seed{'s' if part['n'].min() != 1 else ''} a condition"
        text += (
            f"**{corpus or 'The experiment'}** ({seeds}): {'; '.join(sentences) or 'no pair of conditions'}; the best condition "
            f"is {best['condition']} ({best['value']:.3f}{_reach(best)}). "
        )
    return text + "The auxiliary loss costs nothing once a model is trained."


def _reach(row: pd.Series) -> str:
    return f" [{row['low']:.3f}, {row['high']:.3f}]" if np.isfinite(row["low"]) else ", one seed: no interval"


def _costs(table: pd.DataFrame) -> tuple[dict[str, tuple[float, float, float]], str, float]:
    """Cost over the control's by architecture, with its interval; what it is; and the duration."""
    timed = table[
        (table["measure"] == "ratio") & (table["view"] == "mono") & (table["batch"] == 1)
        & table["model"].isin(["hubert", "multi"]) & table["value"].notna()
    ]  # fmt: skip
    whole = timed.groupby("duration")["model"].nunique()
    basis, rows = "measured", timed
    if whole.empty or whole.max() < 2:
        basis = "counted"
        rows = table[(table["measure"] == "macs_ratio") & (table["view"] == "mono")]
        rows = rows[rows["model"].isin(["hubert", "multi"]) & (rows["duration"] == 10.0)]
        rows = rows.assign(low=rows["value"], high=rows["value"])
        duration = 10.0
    else:
        duration = float(whole[whole == 2].index.max())
    at = rows[rows["duration"] == duration].set_index("model")
    found = {str(name): (float(row["value"]), float(row["low"]), float(row["high"])) for name, row in at.iterrows()}
    return {"mono": (1.0, 1.0, 1.0), **found}, basis, duration


def _size(table: pd.DataFrame) -> str:
    return str(table["size"].iloc[0])


def machine(table: pd.DataFrame) -> str:
    """The machine that the times were measured on."""
    first = _records(table.head(1))[0]
    threads = f", {first['threads']} thread{'s' if first['threads'] != 1 else ''}" if first["device"] == "cpu" else ""
    text = f"{first['machine']}{threads}, {first['precision']}"
    load = table.loc[table["measure"] == "load_before", "value"]
    if len(load) and pd.notna(load.iloc[0]) and float(load.iloc[0]) > 0.5:
        text += f", with other work on it ({float(load.iloc[0]):.1f} processes waiting or running for each core before it began)"
    return text


def overview(table: pd.DataFrame) -> pd.DataFrame:
    """One row a duration and model: latency, ratios and throughput with their intervals, for display."""
    rows = []
    timed = table[(table["measure"] == "latency") & table["duration"].notna()]
    for row in _records(timed):
        at = {"model": row["model"], "duration": row["duration"], "batch": row["batch"]}
        line: dict[str, Any] = {
            "model": _name(row["model"]), "seconds of speech": f"{row['duration']:g}", "batch": int(row["batch"]),
            "latency, s": _cell(row),
        }  # fmt: skip
        for against, title in (("mono", "ratio to control"), ("hubert", "ratio to HuBERT")):
            found = _find(table, "ratio", view=against, **at)
            line[title] = _cell(found) if found else "1"
        line["counted ratio to control"] = _counted_cell(table, row)
        rows.append(line)
    return pd.DataFrame(rows)


def _dearest(table: pd.DataFrame) -> str:
    """The part whose share of the time exceeds its share of the count by most."""
    timed = table[(table["measure"] == "part_seconds") & (table["model"] == "multi") & table["value"].notna()]
    if timed.empty:
        return ""
    counted = table[(table["measure"] == "macs") & (table["model"] == "multi")]
    counted = counted[counted["duration"] == timed["duration"].iloc[0]]
    parts = counted["part"].replace({"attention, linear": "attention", "attention, quadratic": "attention"})
    time = timed.groupby("part")["value"].sum() / timed["value"].sum()
    count = counted.groupby(parts)["value"].sum() / counted["value"].sum()
    excess = (time - count).dropna()
    part = str(excess.idxmax())
    rest = float(time.get("norms, activations and the rest", 0.0))
    return (
        f"Of the parts that are counted, the one dearer in time than its count suggests is the {part}: {time[part]:.0%} of the "
        f"time for {count[part]:.0%} of the count. Norms, activations and calls, which are not counted, take {rest:.0%}."
    )


def _training(table: pd.DataFrame) -> str:
    found = _find(table, "training_ratio", model="multi", view="mono")
    if found is None or found["note"]:
        return ""
    return f"A training step on {found['duration']:g} s takes {_interval(found)} of the control's time. "


def _memory(table: pd.DataFrame) -> str:
    multi, mono = (_find(table, "memory_forward", model=name) for name in ("multi", "mono"))
    if multi is None or mono is None:
        return ""
    text = (
        f"A forward pass over {multi['duration']:g} s needs at its peak {multi['value'] / 2**20:,.0f} MiB beyond the weights, "
        f"the control {mono['value'] / 2**20:,.0f} MiB"
    )
    if abs(multi["value"] / mono["value"] - 1) < 0.02:
        text += ": downsampling does not change the peak"
    return text + ". "


def _energy(table: pd.DataFrame) -> str:
    found = _find(table, "energy", model="multi")
    if found is None:
        return ""
    if found["note"]:
        return f"Energy is not reported: {found['note']}."
    control = _find(table, "energy", model="mono")
    text = f"It takes {_interval(found)} J"
    return text + (f", the control {_interval(control)} J." if control and not control["note"] else ".")


def _pays(row: dict[str, Any]) -> str:
    if row["value"] == float("inf"):
        return f"at no duration (95 % interval from {_seconds(row['low'])} to {_seconds(row['high'])})"
    if row["value"] == 0 and row["high"] == 0:
        return "at every duration"
    return f"from {row['value']:.1f} s on (95 % interval from {_seconds(row['low'])} to {_seconds(row['high'])})"


def _seconds(value: float) -> str:
    return "never" if value == float("inf") else f"{value:.1f} s"


def _share(table: pd.DataFrame, model: str, part: str) -> float:
    rows = table[(table["measure"] == "macs") & (table["model"] == model) & (table["duration"] == 10.0)]
    return float(rows.loc[rows["part"] == part, "value"].sum() / rows["value"].sum())


def _ratios(table: pd.DataFrame, model: str, view: str) -> pd.DataFrame:
    rows = table[(table["measure"] == "ratio") & (table["model"] == model) & (table["view"] == view)]
    return rows[rows["batch"] == rows["batch"].min()].sort_values("duration")


def _counted_cell(table: pd.DataFrame, row: dict[str, Any]) -> str:
    found = _find(table, "macs_ratio", model=row["model"], view="mono", duration=row["duration"])
    return f"{found['value']:.3f}" if found else ""


def _find(table: pd.DataFrame, measure: str, **where: Any) -> dict[str, Any] | None:
    rows = table[table["measure"] == measure]
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return _records(rows.head(1))[0] if len(rows) else None


def _pick(table: pd.DataFrame, measure: str, **where: Any) -> dict[str, Any]:
    found = _find(table, measure, **where)
    if found is None:
        raise KeyError(f"{measure} {where}")
    return found


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]


def _interval(row: dict[str, Any]) -> str:
    return f"{row['value']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"


def _cell(row: dict[str, Any]) -> str:
    return "too noisy" if row["note"] else _interval(row)


def _name(model: str) -> str:
    return {"hubert": "HuBERT", "mono": "20 ms control", "multi": "MR-HuBERT", "multi3": "three resolutions"}.get(
        model, model
    )
