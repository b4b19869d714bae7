"""The phone inventory, and maps onto it from espeak-ng's IPA, TIMIT's 61 phones and ARPAbet with stress."""

from __future__ import annotations

from multires.corpus.utterance import SILENCE

_NAMES = "aa ae ah ao aw ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh"
PHONES = tuple(_NAMES.split())
"""The 39 phones of ARPAbet as the CMU dictionary uses them, lower case and without stress."""

SILENCES = frozenset({"", "sil", "sp", "spn", "h#", "pau", "epi", "#", "<eps>", "<sil>", "<unk>", "nsn", "[sil]"})
"""Labels, lower case, that mean silence, a pause or noise in the tiers of one aligner or another."""

IPA_TO_PHONES: dict[str, tuple[str, ...]] = {
    # Vowels. Reduced vowels take the phone that the CMU dictionary writes for them.
    "ɑː": ("aa",),
    "ɑ": ("aa",),
    "æ": ("ae",),
    "ʌ": ("ah",),
    "ə": ("ah",),
    "ɐ": ("ah",),
    "ɔ": ("ao",),
    "ɔː": ("ao",),
    "ɛ": ("eh",),
    "ɪ": ("ih",),
    "ᵻ": ("ih",),
    "i": ("iy",),
    "iː": ("iy",),
    "ʊ": ("uh",),
    "u": ("uw",),
    "uː": ("uw",),
    # Diphthongs.
    "aʊ": ("aw",),
    "aɪ": ("ay",),
    "eɪ": ("ey",),
    "oʊ": ("ow",),
    "ɔɪ": ("oy",),
    # Rhotics: one event that stands for a vowel and /r/ is split at its middle.
    "ɚ": ("er",),
    "ɜː": ("er",),
    "ɑːɹ": ("aa", "r"),
    "ɔːɹ": ("ao", "r"),
    "oːɹ": ("ao", "r"),
    "ɛɹ": ("eh", "r"),
    "ɪɹ": ("ih", "r"),
    "ʊɹ": ("uh", "r"),
    "aɪɚ": ("ay", "er"),
    "aɪə": ("ay", "ah"),
    "iə": ("iy", "ah"),
    # Syllabic consonants are their consonant, as in TIMIT's usual folding.
    "əl": ("l",),
    "l̩": ("l",),
    "n̩": ("n",),
    "m̩": ("m",),
    # Consonants. In this voice the flap and the glottal stop are ways to say /t/.
    "b": ("b",),
    "tʃ": ("ch",),
    "d": ("d",),
    "ð": ("dh",),
    "f": ("f",),
    "ɡ": ("g",),
    "h": ("hh",),
    "dʒ": ("jh",),
    "k": ("k",),
    "x": ("k",),
    "l": ("l",),
    "m": ("m",),
    "n": ("n",),
    "ŋ": ("ng",),
    "p": ("p",),
    "ɹ": ("r",),
    "r": ("r",),
    "s": ("s",),
    "ʃ": ("sh",),
    "t": ("t",),
    "ɾ": ("t",),
    "ʔ": ("t",),
    "θ": ("th",),
    "v": ("v",),
    "w": ("w",),
    "ʍ": ("w",),
    "j": ("y",),
    "z": ("z",),
    "ʒ": ("zh",),
    # A pause between clauses.
    "": (SILENCE,),
}
"""espeak-ng's American English symbols, without stress marks, as phones; length marks are part of the symbol."""

_TIMIT_ALLOPHONES = {
    "ax": "ah", "ax-h": "ah", "ix": "ih", "axr": "er", "ux": "uw", "el": "l", "em": "m", "en": "n", "eng": "ng",
    "nx": "n", "dx": "t", "hv": "hh", "q": SILENCE,
}  # fmt: skip

TIMIT_CLOSURES = {"bcl": "b", "dcl": "d", "gcl": "g", "pcl": "p", "tcl": "t", "kcl": "k"}
"""TIMIT's stop closures and the stop each belongs to."""

CLOSURE_RELEASES = {"dcl": ("d", "jh"), "tcl": ("t", "ch")} | {
    closure: (stop,) for closure, stop in TIMIT_CLOSURES.items() if closure not in ("dcl", "tcl")
}
"""The phones whose release may follow each closure."""


def is_silence(label: str) -> bool:
    """Return True if a label of a word or phone tier means silence, noise or another non-word.

    These are the names in `SILENCES`, and whatever stands wholly in brackets, as in ``[laughter]`` or ``<cutoff>`` of the
    Montreal Forced Aligner.

    Examples
    --------
    >>> is_silence("<unk>"), is_silence("{NS}"), is_silence("cat")
    (True, True, False)
    """
    name = label.strip().lower()
    return name in SILENCES or (len(name) > 1 and name[0] + name[-1] in ("[]", "<>", "{}"))


def from_ipa(symbol: str) -> tuple[str, ...]:
    """The phones that an IPA symbol of espeak-ng's stands for, stress marks ignored.

    Raises
    ------
    KeyError
        If the symbol is not in `IPA_TO_PHONES`.
    """
    return IPA_TO_PHONES[symbol.replace("ˈ", "").replace("ˌ", "")]


def from_arpabet(label: str) -> str | None:
    """A phone from an ARPAbet or TIMIT label in either case, with or without a stress digit; None where unknown.

    TIMIT's closures become their stops (`multires.corpus.alignment` joins a closure to the release after it), and its
    allophones the phone that the CMU dictionary would write: ``dx`` is ``t``, ``ix`` is ``ih``, ``q`` is silence.
    """
    name = label.strip().lower()
    if is_silence(name):
        return SILENCE
    name = name.rstrip("012")
    name = TIMIT_CLOSURES.get(name) or _TIMIT_ALLOPHONES.get(name) or name
    return name if name in PHONES or name == SILENCE else None
