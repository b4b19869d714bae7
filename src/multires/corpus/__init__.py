"""Speech in: utterances with timed phones and words."""

from multires.corpus.load import KINDS, load_corpus
from multires.corpus.phones import PHONES
from multires.corpus.utterance import SAMPLE_RATE, SILENCE, Corpus, Segment, Utterance

__all__ = ["KINDS", "PHONES", "SAMPLE_RATE", "SILENCE", "Corpus", "Segment", "Utterance", "load_corpus"]
