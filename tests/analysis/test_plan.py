"""What is said before anything is downloaded, and the refusal where the disk is too small."""

from collections import namedtuple

import pytest

from multires.analysis import plan
from multires.corpus import openslr
from multires.errors import MultiresError
from multires.models.registry import parameter_count, published
from multires.profiles import get_profile


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTIRES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda _place: namedtuple("Usage", "free")(10**15))
    return tmp_path / "cache"


def make(profile, workspace, **more):
    return plan.make_plan(profile, more.pop("data", None), workspace, measure=False, **more)


def test_the_papers_profile_says_what_it_fetches(tmp_path, cache):
    said = make(get_profile("paper"), tmp_path / "workspace")
    names = [name for name, _, _ in said.downloads]
    assert names[:3] == ["train-clean-100.tar.gz", "dev-clean.tar.gz", "librispeech_alignments.zip"]
    assert [name.split()[1].rstrip(",") for name in names[3:]] == ["hubert_base", "mono_base", "b4-a", "b5-a"]
    sizes = {name: size for name, size, _ in said.downloads}
    assert sizes["train-clean-100.tar.gz"] == openslr.SPLITS["train-clean-100"].archive.megabytes
    # 94.4 million parameters, thrice in float32: the published file has 1.1 GB.
    assert sizes["checkpoint hubert_base, about"] == pytest.approx(
        12e-6 * parameter_count(published()["hubert_base"].config)
    )
    text = str(said)
    assert "downloads 12.0 GB" in text
    assert str(cache / "corpus" / "librispeech") in text
    assert f"of vectors in {tmp_path / 'workspace'}" in text
    assert "4 passes over 106 h of speech" in text
    assert not cache.joinpath("corpus", "librispeech").exists()  # nothing was made


def test_what_is_there_already_is_not_counted(tmp_path, cache):
    for split in ("train-clean-100", "dev-clean"):
        (cache / "corpus" / "librispeech" / "LibriSpeech" / split).mkdir(parents=True)
        (cache / "corpus" / "librispeech" / "alignments" / split).mkdir(parents=True)
    (cache / "models").mkdir(parents=True)
    (cache / "models" / "b4-a.pt").touch()
    said = make(get_profile("paper"), tmp_path)
    assert [name.split()[1].rstrip(",") for name, _, _ in said.downloads] == ["hubert_base", "mono_base", "b5-a"]
    assert "of speech and alignments" not in str(said)
    own = make(get_profile("paper"), tmp_path, data=tmp_path)
    assert own.folder is None


def test_vectors_are_as_many_as_the_sample_has(tmp_path):
    profile = get_profile(
        "paper", models="mono_base", reference_model="mono_base", phones_each=10, words_each=2, frames=5
    )
    one = make(profile, tmp_path, layers=("middle.0",)).vectors
    phones, words, frames = 2 * 39 * 10, 2 * 500 * 2, 2 * 5 * 2  # a layer of 40 ms has frames of 40 and 80 ms
    assert one == pytest.approx(4 * 768 * (phones + words + frames) / 1e6)
    fine = make(profile, tmp_path, layers=("encoder.0.0",)).vectors
    assert fine == pytest.approx(4 * 768 * (phones + words + frames * 1.5) / 1e6)
    two = make(get_profile("paper", models="mono_base,b5-a", reference_model="mono_base", phones_each=10, words_each=2,
                           frames=5), tmp_path, layers=("encoder.0.0",)).vectors  # fmt: skip
    assert two == pytest.approx(2 * fine)


def test_a_disk_that_is_too_small_is_refused_beforehand(tmp_path, monkeypatch):
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda _place: namedtuple("Usage", "free")(10**9))
    with pytest.raises(
        MultiresError, match=r"downloads and unpacks 19\.4 GB, and .* has 1\.0 GB free: make room, or set"
    ):
        make(get_profile("paper"), tmp_path)


def test_other_profiles_tell_of_checkpoints_only(tmp_path):
    said = make(get_profile("synthetic", models="hubert_base"), tmp_path)
    assert len(said.downloads) == 1
    assert str(said).count("\n") == 2
    assert make(get_profile("synthetic"), tmp_path).downloads == ()


def test_the_speed_is_that_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "_speed", lambda device: 20.0)
    said = str(plan.make_plan(get_profile("paper"), None, tmp_path))
    assert "about 21.2 h on cpu (measured: 20 s of speech a second)" in said
