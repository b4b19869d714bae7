import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from praatio.utilities.textgrid_io import getTextgridAsStr

from multires.corpus.alignment import read_textgrid, read_timit
from multires.corpus.files import BadFile
from multires.corpus.textgrid import parse_textgrid
from multires.corpus.utterance import SILENCE, Segment

WORDS = [(0.0, 0.2, ""), (0.2, 0.6, "CAT"), (0.6, 1.0, "sat")]
PHONES = [(0.0, 0.2, "sil"), (0.2, 0.3, "K"), (0.3, 0.5, "AE1"), (0.5, 0.6, "T"), (0.6, 0.9, "AH0"), (0.9, 1.0, "spn")]


@pytest.fixture
def grid(tmp_path, textgrid):
    def write(words=WORDS, phones=PHONES, names=("words", "phones"), encoding="utf-8"):
        path = tmp_path / "a.TextGrid"
        path.write_bytes(textgrid(dict(zip(names, (words, phones), strict=True))).encode(encoding))
        return path

    return write


def test_words_and_phones_in_this_packages_forms(grid):
    alignment = read_textgrid(grid(), 1.0)
    assert alignment.words == (Segment("cat", 0.2, 0.6), Segment("sat", 0.6, 1.0))
    assert [phone.label for phone in alignment.phones] == [SILENCE, "k", "ae", "t", "ah", SILENCE]
    assert alignment.problems == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_encodings(grid, encoding):
    words = [(0.0, 1.0, "café")]
    assert read_textgrid(grid(words, encoding=encoding), 1.0).words == (Segment("café", 0.0, 1.0),)


@pytest.mark.parametrize("names", [("Words", "PHONES"), ("ann - words", "ann - phones"), ("word", "phone")])
def test_tier_names(grid, names):
    alignment = read_textgrid(grid(names=names), 1.0)
    assert len(alignment.words) == 2
    assert len(alignment.phones) == 6


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([(0.0, 0.5, "a"), (0.4, 1.0, "b")], "overlaps"),
        ([(0.5, 0.4, "a")], "negative"),
        ([(0.5, 0.5, "a")], "no length"),
        ([(-0.5, 0.5, "a")], "before 0"),
        ([(0.0, 1.2, "a")], "after the audio"),
        ([(0.5, 1.0, "a"), (0.0, 0.5, "b")], "overlaps"),
    ],
)
def test_bad_times_are_refused_with_the_file_and_the_interval(grid, words, reason):
    path = grid(words)
    with pytest.raises(BadFile, match=reason) as caught:
        read_textgrid(path, 1.0)
    assert str(path) in str(caught.value)
    assert "in words" in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        [(0.0, 0.2, ""), (0.2, 0.2, ""), (0.2, 0.6, "cat"), (0.6, 1.0, "sat")],
        [("-0", 0.2, ""), (0.2, 0.6, "cat"), (0.6, 1.0, "sat")],
        [("-1.1102230246251565e-16", 0.2, ""), (0.2, 0.6, "cat"), (0.6, 1.0, "sat")],
        [(0.2, 0.6, "cat"), (0.6, 1.0, "sat"), (1.0, 9.0, "")],
        [(0.2, 0.6, "cat"), (0.6, 1.0, "sat"), (1.0, 1.0, "<eps>"), (2.0, 3.0, "sil")],
    ],
)
def test_silence_may_have_no_length_or_last_longer_than_the_audio(grid, words):
    assert read_textgrid(grid(words), 1.0).words == (Segment("cat", 0.2, 0.6), Segment("sat", 0.6, 1.0))


def test_bad_phones_cost_the_phones_only(grid):
    alignment = read_textgrid(grid(phones=[(0.0, 0.6, "K"), (0.5, 1.0, "AE1")]), 1.0)
    assert [word.label for word in alignment.words] == ["cat", "sat"]
    assert alignment.phones is None
    assert "words only" in alignment.problems[0]
    assert "overlaps" in alignment.problems[0]


def test_labels_in_brackets_are_no_words(grid):
    labels = ["[laughter]", "[bracketed]", "<cutoff>", "<cutoff-wonder>", "<unk>", "{NS}", "cat", "<", "["]
    words = [(place / 10, (place + 1) / 10, label) for place, label in enumerate(labels)]
    alignment = read_textgrid(grid(words, [(0.0, 0.6, "[SPN]"), (0.6, 0.7, "K")]), 1.0)
    assert [word.label for word in alignment.words] == ["cat", "<", "["]
    assert [phone.label for phone in alignment.phones] == [SILENCE, "k"]


ANN = {"ann - words": [(0.0, 0.5, "hello")], "ann - phones": [(0.0, 0.5, "HH")]}
BOB = {"bob - words": [(0.5, 1.0, "yes")], "bob - phones": [(0.5, 1.0, "Y")]}


@pytest.mark.parametrize(
    "tiers",
    [
        {**ANN, **BOB}, {**BOB, **ANN}, {"ann - words": ANN["ann - words"], "bob - phones": BOB["bob - phones"]},
        {**ANN, "words": WORDS},
    ],
)  # fmt: skip
def test_tiers_of_several_speakers_are_refused(tmp_path, textgrid, tiers):
    (tmp_path / "a.TextGrid").write_text(textgrid(tiers))
    with pytest.raises(BadFile, match="tiers of 2 speakers"):
        read_textgrid(tmp_path / "a.TextGrid", 1.0)


def test_empty_tiers_do_not_count_and_two_full_ones_of_a_name_are_refused(tmp_path, textgrid):
    path = tmp_path / "a.TextGrid"
    silent = {"bob - words": [(0.0, 1.0, "")], "bob - phones": [(0.0, 1.0, "")]}
    path.write_text(textgrid({**silent, **ANN}))
    assert read_textgrid(path, 1.0).words == (Segment("hello", 0.0, 0.5),)
    doubled = textgrid({"words": [(0.0, 1.0, "")], "other": WORDS, "phones": PHONES})
    path.write_text(doubled.replace('"other"', '"words"'))
    assert len(read_textgrid(path, 1.0).words) == 2
    path.write_text(doubled.replace('"other"', '"words"').replace('text = ""', 'text = "more"'))
    with pytest.raises(BadFile, match="2 tiers that are named 'words'"):
        read_textgrid(path, 1.0)


@pytest.mark.parametrize(
    "text",
    [
        '"ooTextFile"\n"TextGrid"\n' + "9" * 5_000_000 + "\n",
        '"ooTextFile"\n"TextGrid"\n' + ("1" * 3000 + "x ") * 3000,
        '"ooTextFile"\n"TextGrid"\n0 1\n' + "<" * 200_000 + "a" * 200_000,
        '"ooTextFile"\n"' + "x" * 20_000_000,
        '"ooTextFile' + '""' * 5_000_000,
        "!" * 1_000_000,
        "<a" * 1_000_000,
    ],
)
def test_a_hostile_textgrid_takes_no_longer_than_its_length(tmp_path, text):
    (tmp_path / "a.TextGrid").write_text(text)
    begin = time.process_time()
    with pytest.raises(BadFile):
        read_textgrid(tmp_path / "a.TextGrid", 1.0)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("length", [1_001, 100_000, 20_000_000])
def test_a_label_of_endless_length_is_refused_in_a_short_message(grid, length):
    with pytest.raises(BadFile, match=f"{length} characters") as caught:
        read_textgrid(grid([(0.1, 0.5, "x" * length)]), 1.0)
    assert len(str(caught.value)) < 500


def test_more_intervals_than_any_aligner_makes_are_refused(grid):
    words = [(n / 3000, (n + 1) / 3000, "w") for n in range(3_000)]
    with pytest.raises(BadFile, match="3000 intervals"):
        read_textgrid(grid(words), 1.0)


def test_a_textgrid_with_fewer_intervals_than_it_states_is_refused(grid):
    path = grid()
    path.write_text(path.read_text().replace("intervals: size = 6", "intervals: size = 7"))
    with pytest.raises(BadFile, match="interval 7"):
        read_textgrid(path, 1.0)


def test_rounding_at_the_end_is_cut(grid):
    assert read_textgrid(grid(), 0.99).words[-1] == Segment("sat", 0.6, 0.99)


def test_a_missing_tier_is_named_and_the_other_kept(grid):
    alignment = read_textgrid(grid(names=("words", "other")), 1.0)
    assert alignment.phones is None
    assert len(alignment.words) == 2
    assert alignment.problems == ("has no tier of phones",)
    with pytest.raises(BadFile, match=r"neither.*'x', 'y'"):
        read_textgrid(grid(names=("x", "y")), 1.0)


def test_phones_of_another_inventory_are_named(grid):
    alignment = read_textgrid(grid(phones=[(0.0, 1.0, "tʃʷ")]), 1.0)
    assert alignment.phones is None
    assert "'tʃʷ'" in alignment.problems[0]


@pytest.mark.parametrize("keep", [0, 20, 100, 300, 600])
def test_a_cut_off_textgrid_is_refused(grid, keep):
    path = grid()
    path.write_text(path.read_text()[:keep])
    with pytest.raises(BadFile):
        read_textgrid(path, 1.0)


labels = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12).map(str.strip)


@st.composite
def tiers(draw):
    made = []
    for name in draw(st.lists(labels.filter(bool), min_size=1, max_size=3, unique=True)):
        times = sorted(draw(st.sets(st.integers(0, 10_000), min_size=2, max_size=6)))
        entries = [
            (start / 1000, end / 1000, draw(labels)) for start, end in itertools.pairwise(times)
        ]  # fmt: skip
        made.append((name, entries))
    return made


@given(tiers(), st.sampled_from(["long_textgrid", "short_textgrid"]), st.sampled_from(["utf-8", "utf-16"]))
def test_what_praatio_writes_is_read_back(tmp_path_factory, made, form, encoding):
    grid = {
        "xmin": 0,
        "xmax": 10,
        "tiers": [
            {"class": "IntervalTier", "name": name, "xmin": 0, "xmax": 10, "entries": list(entries)}
            for name, entries in made
        ],
    }
    path = tmp_path_factory.mktemp("grid") / "a.TextGrid"
    path.write_bytes(getTextgridAsStr(grid, form, includeBlankSpaces=False).encode(encoding))
    assert [(tier.name, list(tier.intervals)) for tier in parse_textgrid(path)] == made


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "ignore"))))
def test_garbage_is_never_more_than_a_bad_file(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("garbage") / "a.TextGrid"
    path.write_bytes(data)
    with pytest.raises(BadFile):
        read_textgrid(path, 1.0)
    path.write_bytes(b'File type = "ooTextFile"\nObject class = "TextGrid"\n0 1 <exists> 1 "IntervalTier" ' + data)
    with pytest.raises(BadFile):
        read_textgrid(path, 1.0)


def timit(tmp_path, phn, wrd="0 16000 word\n"):
    (tmp_path / "a.phn").write_text(phn)
    (tmp_path / "a.wrd").write_text(wrd)
    return tmp_path / "a.phn", tmp_path / "a.wrd"


def test_timit_times_are_samples_and_closures_belong_to_their_stop(tmp_path):
    files = timit(tmp_path, "0 1600 h#\n1600 3200 kcl\n3200 4800 k\n4800 8000 ax-h\n8000 9600 tcl\n9600 16000 s\n")
    alignment = read_timit(*files, sample_rate=16_000, duration=1.0)
    assert alignment.phones == (
        Segment(SILENCE, 0.0, 0.1), Segment("k", 0.1, 0.3), Segment("ah", 0.3, 0.5), Segment("t", 0.5, 0.6),
        Segment("s", 0.6, 1.0),
    )  # fmt: skip
    assert alignment.words == (Segment("word", 0.0, 1.0),)


def test_affricates_take_their_closure_too(tmp_path):
    files = timit(tmp_path, "0 1600 dcl\n1600 3200 jh\n3200 4800 tcl\n4800 6400 ch\n")
    alignment = read_timit(*files, sample_rate=16_000, duration=1.0)
    assert [phone.label for phone in alignment.phones] == ["jh", "ch"]


def test_timits_overlapping_words_are_set_apart(tmp_path):
    files = timit(tmp_path, "0 16000 h#\n", "0 9000 had\n8000 16000 your\n")
    alignment = read_timit(*files, sample_rate=16_000, duration=1.0)
    assert alignment.words == (Segment("had", 0.0, 0.5625), Segment("your", 0.5625, 1.0))


@pytest.mark.parametrize("phn", ["0 x aa\n", "0 1600\n", "1600 0 aa\n", "0 160000 aa\n", "a b c d\n"])
def test_bad_timit_files_are_refused(tmp_path, phn):
    with pytest.raises(BadFile, match=r"a\.phn"):
        read_timit(*timit(tmp_path, phn), sample_rate=16_000, duration=1.0)


@given(st.binary(max_size=200))
def test_timit_garbage_is_never_more_than_a_bad_file(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("timit") / "a.phn"
    path.write_bytes(data)
    try:
        alignment = read_timit(path, None, 16_000, 1.0)
    except BadFile:
        return
    assert all(0 <= phone.start < phone.end <= 1 for phone in alignment.phones or ())


def test_swapped_tiers_are_refused(grid):
    phones, words = [(0.0, 0.5, "K"), (0.5, 1.0, "AE1")], [(0.0, 0.5, "cat"), (0.5, 1.0, "sat")]
    with pytest.raises(BadFile, match="swap them"):
        read_textgrid(grid(words=phones, phones=words), 1.0)
