import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from multires.corpus.files import AudioFile, BadFile, read_audio, read_text


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".aiff"])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (8_000, 1), (44_100, 2), (48_000, 1)])
def test_any_format_rate_and_channels_become_mono_at_16_khz(tmp_path, tone, suffix, rate, channels):
    path = tone(tmp_path / f"a{suffix}", 0.5, rate, channels)
    wave, facts = read_audio(path)
    assert wave.dtype == np.float32
    assert wave.shape == (8_000,)
    assert (facts.sample_rate, facts.channels, facts.duration) == (rate, channels, 0.5)
    expected = 0.5 * np.sin(2 * np.pi * 200 * np.arange(8_000) / 16_000)
    assert np.abs(wave - expected)[400:-400].max() < 0.02
    assert np.array_equal(AudioFile(path)(), wave)


def test_channels_are_averaged(tmp_path):
    left = np.full(1_000, 0.5)
    soundfile.write(tmp_path / "a.wav", np.column_stack([left, 0 * left]), 16_000)
    assert read_audio(tmp_path / "a.wav")[0] == pytest.approx(0.25, abs=1e-4)


def test_floats_beyond_full_scale_are_brought_down(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.linspace(-4, 2, 1_000), 16_000, subtype="FLOAT")
    wave, _ = read_audio(tmp_path / "a.wav")
    assert wave.min() == -1
    assert wave.max() == pytest.approx(0.5)


def empty(path, tone):
    path.write_bytes(b"")


def text(path, tone):
    path.write_text("not audio at all, only text\n" * 50)


def no_samples(path, tone):
    soundfile.write(path, np.zeros(0), 16_000)


def not_a_number(path, tone):
    wave = np.zeros(1_000)
    wave[500] = np.nan
    soundfile.write(path, wave, 16_000, subtype="FLOAT")


def infinite(path, tone):
    soundfile.write(path, np.full(1_000, np.inf), 16_000, subtype="FLOAT")


def cut_off(path, tone):
    tone(path)
    path.write_bytes(path.read_bytes()[:9_000])


def cut_off_flac(path, tone):
    rng = np.random.default_rng(0)
    soundfile.write(path, rng.normal(0, 0.1, 16_000), 16_000, format="FLAC")
    path.write_bytes(path.read_bytes()[:9_000])


def too_short(path, tone):
    tone(path, 0.02)


def too_slow(path, tone):
    tone(path, rate=4_000)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (empty, "empty"), (text, "not audio"), (no_samples, "no samples"), (not_a_number, "NaN"), (infinite, "infinity"),
        (cut_off, "cut off"), (cut_off_flac, "cut off|not audio"), (too_short, "20 ms"), (too_slow, "4000 Hz"),
    ],
)  # fmt: skip
def test_bad_audio_is_refused_with_its_name_and_the_reason(tmp_path, tone, spoil, reason):
    path = tmp_path / "bad.wav"
    spoil(path, tone)
    with pytest.raises(BadFile, match=reason) as caught:
        read_audio(path)
    assert str(path) in str(caught.value)
    assert "BytesIO" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadFile, match="cannot be read"):
        read_audio(tmp_path / "none.wav")


@given(st.binary(max_size=400))
def test_garbage_is_never_more_than_a_bad_file(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("garbage") / "a.wav"
    path.write_bytes(data)
    with pytest.raises(BadFile):
        read_audio(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_text_in_common_encodings(tmp_path, encoding):
    (tmp_path / "a.txt").write_bytes("File, café señor\n".encode(encoding))
    assert read_text(tmp_path / "a.txt") == "File, café señor\n"


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"abc\x00\x01\x02\xff\x00def")
    with pytest.raises(BadFile, match="not text"):
        read_text(tmp_path / "a.txt")
