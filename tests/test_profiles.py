import pytest

from multires.errors import MultiresError
from multires.profiles import ALIASES, DEFAULT, PROFILES, SHIPPED, VIEWS, get_profile, positive_integer


def test_overrides_replace_and_none_keeps():
    profile = get_profile("synthetic", frames=7, views="mel, phone", hours=None, model_seeds="0,2")
    assert profile.frames == 7
    assert profile.views == ("mel", "phone")
    assert profile.model_seeds == (0, 2)
    assert profile.hours == PROFILES["synthetic"].hours


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("papers", {}, r"unknown profile 'papers' .*choose one of librispeech-sample, synthetic, librispeech, paper"),
        ("synthetic", {"views": "mel,color"}, f"unknown view 'color'.*: choose one of {', '.join(VIEWS)}"),
        ("synthetic", {"variant": "best"}, "unknown variant 'best'"),
        ("synthetic", {"frames": "many"}, "frames must be a whole number"),
        ("synthetic", {"frames": -1}, "frames must be a whole number of at least 1"),
        ("synthetic", {"frames": True}, "frames must be a whole number"),
        ("synthetic", {"hours": "long"}, "hours must be a number"),
        ("synthetic", {"models": 3}, "models must be a list"),
        ("synthetic", {"tempo": 3}, "no setting 'tempo'"),
        ("synthetic", {"efficiency_setting": "slow"}, "choose one of quick, thorough"),
        (7, {}, "unknown profile 7"),
    ],
)
def test_bad_values_are_named_with_the_good_ones(name, overrides, message):
    with pytest.raises(MultiresError, match=message):
        get_profile(name, **overrides)


def test_a_former_name_opens_the_profile_and_is_said(monkeypatch, caplog):
    monkeypatch.setitem(ALIASES, "synthetic-speech", "synthetic")
    assert get_profile("synthetic-speech") == PROFILES["synthetic"]
    assert "'synthetic-speech' is now called 'synthetic'" in caplog.text


def test_the_profile_that_was_called_embedded(caplog):
    assert get_profile("embedded") == PROFILES["synthetic"]
    assert get_profile("librispeech-sample", corpus="embedded").corpus == "synthetic"
    assert "profile 'embedded' is now called 'synthetic'" in caplog.text
    assert "corpus 'embedded' is now called 'synthetic'" in caplog.text


def test_the_default_profile_needs_no_folder():
    assert PROFILES[DEFAULT].corpus == DEFAULT
    assert DEFAULT in SHIPPED


def test_what_is_given_twice_counts_once_and_is_said(caplog):
    profile = get_profile("synthetic", models="mel,mfcc,mel", model_seeds="0,1,0")
    assert (profile.models, profile.model_seeds) == (("mel", "mfcc"), (0, 1))
    assert "models: mel is given 2 times and counts once" in caplog.text
    assert "model_seeds: 0 is given 2 times" in caplog.text


def test_a_split_is_not_both_fitted_to_and_evaluated_on():
    with pytest.raises(MultiresError, match="'evaluation' is both in train and in evaluation"):
        get_profile("synthetic", train_splits="evaluation")


def test_no_speaker_split_is_both_trained_and_judged_on():
    for profile in PROFILES.values():
        assert not set(profile.train) & set(profile.evaluation)


def test_positive_integer_reads_what_a_shell_gives():
    assert positive_integer("seed", "12", lowest=0) == 12
    for bad in ("abc", "1.5", 1.5, None, True, -1):
        with pytest.raises(MultiresError, match="seed must be a whole number"):
            positive_integer("seed", bad, lowest=0)
