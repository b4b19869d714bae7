import pandas as pd

from multires.features.sampling import at_most_each


def segments() -> pd.DataFrame:
    rows = [
        ("phone", label, split) for split in ("a", "b") for label, count in (("t", 9), ("k", 2)) for _ in range(count)
    ]
    rows += [("word", label, "a") for label, count in (("the", 6), ("cat", 4), ("rare", 1)) for _ in range(count)]
    rows += [("frame20", "", "a")] * 5
    return pd.DataFrame(rows, columns=["unit", "label", "split"]).assign(start=range(len(rows)))


def test_of_each_label_and_split_at_most_so_many_are_kept_in_order():
    before = segments()
    after = at_most_each(before, phones=3, words=5, word_types=2, seed=1)
    counts = after.groupby(["unit", "label", "split"]).size().to_dict()
    assert counts == {
        ("phone", "t", "a"): 3, ("phone", "t", "b"): 3, ("phone", "k", "a"): 2, ("phone", "k", "b"): 2,
        ("word", "the", "a"): 5, ("word", "cat", "a"): 4, ("frame20", "", "a"): 5,
    }  # fmt: skip
    assert after["start"].is_monotonic_increasing
    assert list(after.index) == list(range(len(after)))


def test_nothing_is_dropped_where_nothing_is_asked_for():
    before = segments()
    assert at_most_each(before) is before
    pd.testing.assert_frame_equal(at_most_each(before, phones=100, words=100), before)


def test_the_draw_follows_the_seed_and_a_smaller_one_is_part_of_a_larger_one():
    def starts(most, seed):
        kept = at_most_each(segments(), phones=most, seed=seed)
        return set(kept[kept["unit"] == "phone"]["start"])

    assert starts(4, 0) == starts(4, 0)
    assert starts(4, 0) != starts(4, 1)
    assert starts(2, 0) < starts(5, 0)
