"""Published figures as a table: one column a checkpoint, empty cells visible and counted."""

import pandas as pd

from multires.analysis.published import published_scores
from multires.report.published import EMPTY, published_summary, published_table


def made(**values: float | None) -> pd.DataFrame:
    return pd.DataFrame([
        {"quantity": "word errors", "model": model, "value": value, "unit": "%", "better": "lower", "source": f"paper {model}"}
        for model, value in values.items()
    ])  # fmt: skip


def test_columns_are_models_in_the_order_of_the_cells_and_empty_cells_show():
    table = published_table(made(mono_base=4.5, hubert_base=None, other=7))
    assert list(table.columns) == ["As published", "HuBERT (hubert_base)", "MR-HuBERT (mono_base)", "other"]
    assert table.iloc[0].tolist() == ["Word errors (%; less is better)", EMPTY, "4.5", "7"]


def test_the_summary_counts_figures_and_names_what_fills_the_empty_cells():
    text = published_summary(made(mono_base=4.5, hubert_base=None))
    assert "has 1 published figure (" in text
    assert "1 cell could not be verified" in text
    assert "paper mono" in text
    assert "with the paper at hand" in text.lower()
    assert "`book/data/published_scores.csv`" in text
    assert "empty" not in published_summary(made(mono_base=4.5))


def test_the_shipped_table_says_that_no_seeds_or_intervals_were_reported():
    scores = published_scores()
    text = published_summary(scores)
    assert "no seeds or intervals" in text
    assert f"{scores['value'].notna().sum()} published figures" in text
    assert f"{scores['value'].isna().sum()} cells could not" in text
    empty = [name for name, part in scores.groupby("quantity") if part["value"].isna().all()]
    assert len(published_table(scores)) == scores["quantity"].nunique() - len(empty)
    assert all(name in text for name in empty)
