"""Audio whose header is wrong about its length is decoded to its end; audio that ends early is refused."""

import io
import struct

import numpy as np
import pytest
import soundfile

from multires.corpus.files import FORMATS, BadFile, audio_facts, read_audio

RATE = 16_000


@pytest.fixture(scope="module")
def voice():
    """Two seconds of a buzz with noise, the first of them nearly silent."""
    time = np.arange(2 * RATE) / RATE
    wave = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 9))
    wave = 0.2 * wave + 0.01 * np.random.default_rng(0).normal(size=len(time))
    wave[:RATE] *= 0.001
    return wave.astype(np.float32)


def encoded(wave, rate=RATE, **more):
    packed = io.BytesIO()
    soundfile.write(packed, wave, rate, **more)
    return packed.getvalue()


@pytest.fixture
def samples_of(tmp_path):
    def read(data):
        path = tmp_path / "a.wav"
        path.write_bytes(data)
        return len(read_audio(path)[0])

    return read


@pytest.fixture
def refused(samples_of):
    def reason(data):
        with pytest.raises(BadFile) as caught:
            samples_of(data)
        assert "0x" not in caught.value.reason
        return caught.value.reason

    return reason


ENCODINGS = [
    (form, subtype)
    for form in sorted(FORMATS & set(soundfile.available_formats()))
    for subtype in soundfile.available_subtypes(form)
]


@pytest.mark.parametrize(("form", "subtype"), ENCODINGS)
def test_every_encoding_is_read_to_its_end_and_half_of_it_is_refused(form, subtype, voice, samples_of, refused):
    for rate in (16_000, 8_000):
        try:
            data = encoded(voice[:: 16_000 // rate], rate, format=form, subtype=subtype)
            break
        except soundfile.LibsndfileError:
            continue
    else:
        pytest.skip("this libsndfile cannot write it")
    # Codecs that work in blocks fill their last one: of up to 320 samples at 8 kHz for GSM.
    assert 32_000 <= samples_of(data) <= 32_640
    assert "cut off" in refused(data[: len(data) // 2]) or form == "HTK"


def with_sizes(data, riff, size):
    changed = bytearray(data)
    place = data.index(b"data")
    changed[4:8], changed[place + 4 : place + 8] = struct.pack("<I", riff), struct.pack("<I", size)
    return bytes(changed)


@pytest.mark.parametrize(
    ("riff", "size"),
    [
        (0x7FFFF024, 0x7FFFF000),  # sox
        (0x7FFFFFFF, 0x7FFFFFFF), (0x80000024, 0x80000000), (0xFFFFFFFF, 0xFFFFFFFF),  # arecord, ffmpeg
        (0, 0), (64_044, 64_000), (0xFFFFFFFF, 64_000), (36, 100), (64_036, 32_000),
    ],
)  # fmt: skip
def test_sizes_that_a_writer_to_a_pipe_could_not_know_do_not_matter(riff, size, voice, samples_of):
    data = encoded(voice, format="WAV", subtype="PCM_16")
    assert samples_of(with_sizes(data, riff, size)) == 32_000


@pytest.mark.parametrize("after", [b"LIST\x04\0\0\0INFO", b"TAG" + bytes(125), bytes(300), b"id3 \x03\0\0\0abc\0"])
def test_what_follows_the_audio_is_no_audio(after, voice, samples_of):
    assert samples_of(encoded(voice, format="WAV", subtype="PCM_16") + after) == 32_000


def test_an_empty_data_chunk_before_others_is_empty(voice, refused):
    data = encoded(np.zeros(0, np.float32), format="WAV", subtype="PCM_16") + b"LIST\x04\0\0\0INFO"
    assert "no samples" in refused(data)


def test_wide_headers_with_known_unknown_and_wrong_sizes(voice, samples_of, refused):
    data = encoded(voice, format="RF64", subtype="PCM_16")
    assert samples_of(data) == samples_of(b"BW64" + data[4:]) == 32_000
    for unknown in (b"\xff", b"\0"):
        assert samples_of(data[:20] + unknown * 24 + data[44:]) == 32_000
    assert "cut off" in refused(data[:9_000])


def flac(data, frames):
    changed = bytearray(data)
    changed[21] = data[21] & 0xF0
    changed[22:26] = struct.pack(">I", frames)
    return bytes(changed)


def test_flac_of_unknown_or_wrong_length(voice, samples_of, refused):
    data = encoded(voice, format="FLAC")
    assert samples_of(flac(data, 0)) == 32_000
    assert samples_of(flac(data, 8_000)) == 32_000
    assert "cut off" in refused(flac(data, 64_000))
    assert "cut off" in refused(flac(data, 0)[: len(data) // 2])
    tags = b"ID3\x03\0\0\0\0\0\x0a" + bytes(10)
    for more in (data + b"TAG" + bytes(125), data + b"junk" * 500, tags + data, flac(data, 0) + b"TAG" + bytes(125)):
        assert samples_of(more) == 32_000


def first_mp3_frame(data):
    """Length of the first frame, from its header (ISO 11172-3)."""
    rates = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    return 72 * rates[data[2] >> 4] * 1000 // 16_000 + (data[2] >> 1 & 1)


@pytest.mark.parametrize("mode", ["VARIABLE", "AVERAGE", "CONSTANT"])
def test_an_mp3_is_read_to_its_end_with_and_without_a_length(mode, voice, samples_of, refused):
    data = encoded(voice, format="MP3", bitrate_mode=mode, compression_level=0.5)
    bare = data[first_mp3_frame(data) :]
    assert samples_of(data) == 32_000
    for stream in (bare, b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + bare, bare + b"TAG" + bytes(125)):
        assert 32_000 <= samples_of(stream) <= 32_000 + 2 * 1152  # with the delay and padding of the coder
    assert "cut off" in refused(data[: len(data) // 2])
    tag = max(data.find(b"Xing"), data.find(b"Info"))
    lying = data[: tag + 8] + struct.pack(">I", 5) + data[tag + 12 :]
    assert samples_of(lying) >= 32_000


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_streams_that_are_chained_or_never_end(subtype, voice, samples_of, refused):
    data = encoded(voice, format="OGG", subtype=subtype)
    assert samples_of(data * 3) == 3 * 32_000
    assert "cut off" in refused(data[: len(data) // 2])
    assert "cut off" in refused(data + data[: len(data) // 2])


def test_channels_that_cancel_each_other_out_are_refused(voice, samples_of, refused):
    assert "cancel" in refused(encoded(np.stack([voice, -voice], 1), format="WAV"))
    noise = np.random.default_rng(0).normal(0, 0.1, (16_000, 8)).astype(np.float32)
    assert samples_of(encoded(noise, format="WAV")) == 16_000
    assert samples_of(encoded(np.stack([voice, 0 * voice], 1), format="WAV")) == 32_000


@pytest.mark.parametrize(("rate", "good"), [(384_000, True), (384_001, False), (20_000_003, False)])
def test_rates_that_no_recorder_has_are_refused(rate, good, samples_of, refused):
    data = encoded(np.full(rate // 16, 0.1), rate, format="WAV", subtype="PCM_U8")
    if good:
        assert samples_of(data) == 1_000
    else:
        assert str(rate) in refused(data)


def test_hours_of_silence_in_little_space_are_refused_without_being_held(tmp_path):
    quiet = np.zeros(16_000 * 60, np.int16)
    with soundfile.SoundFile(tmp_path / "a.flac", "w", 16_000, 1, format="FLAC") as file:
        for _ in range(3):
            file.write(quiet)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    assert audio_facts(tmp_path / "a.flac").duration == 180
    (tmp_path / "a.flac").write_bytes(
        data[:21] + bytes([data[21] & 0xF0]) + struct.pack(">I", 16 * 3600 * 16_000) + data[26:]
    )
    with pytest.raises(BadFile, match="more than 12 hours"):
        audio_facts(tmp_path / "a.flac")


def test_a_long_file_is_read_in_blocks_that_are_the_whole(tmp_path):
    wave = np.random.default_rng(0).normal(0, 0.4, (44_100 * 40, 2))
    soundfile.write(tmp_path / "a.wav", wave, 44_100, subtype="FLOAT")
    from multires.corpus.files import AudioFile

    whole, facts = read_audio(tmp_path / "a.wav")
    for source in (AudioFile(tmp_path / "a.wav"), AudioFile(tmp_path / "a.wav", facts.peak)):
        blocks = list(source.blocks())
        assert len(blocks) > 3
        assert np.array_equal(np.concatenate(blocks), whole)
