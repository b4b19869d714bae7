import base64
import io
import json
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
import torch
from bs4 import BeautifulSoup
from PIL import Image

from multires.book.listening import averaged, listen, log_mel, resynthesized
from multires.corpus.utterance import SAMPLE_RATE, Segment, Utterance


def sound() -> np.ndarray:
    """A tone whose pitch and loudness change every 50 ms."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    step = (time * 20).astype(int)
    return (0.3 * (0.2 + step % 3) / 3 * np.sin(2 * np.pi * (300 + 150 * (step % 5)) * time)).astype(np.float32)


@pytest.fixture(scope="module")
def page() -> BeautifulSoup:
    utterance = Utterance(
        id="a<b", speaker="s", split="all", duration=1.0, read=sound, transcript=None,
        words=(Segment("<script>alert(1)</script>", 0.1, 0.9),), phones=(Segment("ae", 0.1, 0.5), Segment("t", 0.5, 0.9)),
    )  # fmt: skip
    return BeautifulSoup(listen(utterance)._repr_html_(), "html.parser")


def versions(page: BeautifulSoup) -> list[dict[str, str]]:
    return json.loads(page.select_one("script[type='application/json']").string)


def decoded(uri: str, kind: str) -> io.BytesIO:
    head, _, packed = uri.partition(",")
    assert head == f"data:{kind};base64"
    return io.BytesIO(base64.b64decode(packed))


def test_each_version_is_sound_and_a_picture_of_the_same_length(page):
    found = versions(page)
    assert [version["name"] for version in found] == [
        "as recorded", "20 ms frames", "40 ms frames", "80 ms frames",
    ]  # fmt: skip
    for version in found:
        audio, rate = soundfile.read(decoded(version["audio"], "audio/mpeg"))
        assert rate == SAMPLE_RATE
        assert len(audio) == pytest.approx(SAMPLE_RATE, abs=2500)  # MP3 pads to whole frames
        assert np.abs(audio).max() > 0.05
        assert Image.open(decoded(version["picture"], "image/png")).size == (101, 80)


def test_labels_are_text_at_their_times(page):
    assert [node.get_text() for node in page.select(".listen-track span")] == ["<script>alert(1)</script>", "ae", "t"]
    phone = page.select(".listen-track span")[2]
    assert (phone["data-start"], phone["data-end"]) == ("0.500", "0.900")
    assert "left:50.00%;width:40.00%" in phone["style"]
    assert len(page.select("script")) == 2


def test_it_can_be_used_with_the_keyboard_and_needs_no_network(page):
    assert page.audio.has_attr("controls")
    assert page.audio["aria-label"]
    assert len(page.select("fieldset > legend")) == 1
    assert [node.get("type") for node in page.select("label > input")] == ["radio"] * 4
    text = str(page)
    assert "http" not in text
    assert len(text) < 400_000


def test_a_frame_is_the_mean_of_its_hops():
    mel = torch.arange(12.0).reshape(2, 6)
    assert averaged(mel, 0.04).tolist() == [[1.5] * 4 + [4.5] * 2, [7.5] * 4 + [10.5] * 2]


def test_the_coarser_the_frame_the_further_the_sound_is_from_the_original():
    original = log_mel(torch.from_numpy(sound()))
    distances = [
        float(
            (log_mel(torch.from_numpy(resynthesized(averaged(original, period), SAMPLE_RATE))) - original).abs().mean()
        )
        for period in (0.01, 0.02, 0.04, 0.08)
    ]
    assert distances == sorted(distances)
    assert distances[0] < 0.7 * distances[-1]


def test_silence_stays_silent():
    heard = resynthesized(log_mel(torch.zeros(SAMPLE_RATE)), SAMPLE_RATE)
    assert np.abs(heard).max() < 1e-5  # below half a step of 16-bit audio


def test_the_page_is_well_formed(page):
    opened: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag != "input":
                opened.append(tag)

        def handle_startendtag(self, tag, attrs):
            pass  # an element without content closes itself

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Parser().feed(str(page))
    assert not opened
