import pytest

from multires.corpus.phones import IPA_TO_PHONES, PHONES, from_arpabet, from_ipa
from multires.corpus.utterance import SILENCE


def test_the_inventory_is_arpabets_39():
    assert len(PHONES) == len(set(PHONES)) == 39


def test_every_ipa_symbol_maps_into_the_inventory():
    assert {phone for phones in IPA_TO_PHONES.values() for phone in phones} == {*PHONES, SILENCE}


@pytest.mark.parametrize(
    ("symbol", "phones"),
    [("ˈɑːɹ", ("aa", "r")), ("ˌaʊ", ("aw",)), ("n̩", ("n",)), ("əl", ("l",)), ("ɾ", ("t",)), ("", (SILENCE,))],
)
def test_ipa_with_stress_length_rhotics_syllabics_and_flaps(symbol, phones):
    assert from_ipa(symbol) == phones


def test_an_unknown_ipa_symbol_is_an_error():
    with pytest.raises(KeyError):
        from_ipa("ɮ")


@pytest.mark.parametrize(
    ("label", "phone"),
    [
        ("AH0", "ah"), ("IY2", "iy"), ("ng", "ng"), ("SIL", SILENCE), ("sp", SILENCE), ("spn", SILENCE), ("", SILENCE),
        ("h#", SILENCE), ("ax-h", "ah"), ("dcl", "d"), ("dx", "t"), ("q", SILENCE), ("ʃ", None), ("xyz", None),
        ("3", None), ("012", None),
    ],
)  # fmt: skip
def test_arpabet_and_timit_labels(label, phone):
    assert from_arpabet(label) == phone


def test_timits_61_phones_all_fold():
    timit = [
        "aa",
        "ae",
        "ah",
        "ao",
        "aw",
        "ax",
        "ax-h",
        "axr",
        "ay",
        "b",
        "bcl",
        "ch",
        "d",
        "dcl",
        "dh",
        "dx",
        "eh",
        "el",
        "em",
        "en",
        "eng",
        "epi",
        "er",
        "ey",
        "f",
        "g",
        "gcl",
        "h#",
        "hh",
        "hv",
        "ih",
        "ix",
        "iy",
        "jh",
        "k",
        "kcl",
        "l",
        "m",
        "n",
        "ng",
        "nx",
        "ow",
        "oy",
        "p",
        "pau",
        "pcl",
        "q",
        "r",
        "s",
        "sh",
        "t",
        "tcl",
        "th",
        "uh",
        "uw",
        "ux",
        "v",
        "w",
        "y",
        "z",
        "zh",
    ]
    assert len(timit) == 61
    assert {from_arpabet(label) for label in timit} == {*PHONES, SILENCE}
