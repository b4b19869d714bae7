"""Speaks sentences with espeak-ng in a process of its own.

espeak-ng keeps state from one sentence to the next (flutter, for one) and is one per process. So each speaker is spoken
by a fresh process that runs this file as a script: it gives the same samples whatever was spoken before and wherever it
runs, and a crash in the library ends that process only. The script needs only the standard library, and so starts fast.

It reads a JSON object from standard input (`library` and `data`: paths; `voice`: name; `rate`, `pitch`, `range`:
espeak-ng's parameters; `texts`) and writes one JSON line, then the samples (int16, native order) of all texts. The line
holds `sample_rate`, and for each text the number of `samples` and the `events`: (kind, sample, value), where value is the
position of a word in the text (in characters, from 1) or the IPA symbol of a phoneme.
"""

import ctypes
import json
import sys
from typing import Any

SYNCHRONOUS = 2
PHONEME_EVENTS_IN_IPA_AND_NO_EXIT = 0x0001 | 0x0002 | 0x8000
RATE, PITCH, RANGE = 1, 3, 4
UTF8 = 1
CHARACTER_POSITION = 1
END_OF_LIST, WORD, PHONEME = 0, 1, 7


class _Identity(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_void_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identity),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


def speak(job: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The header and the samples for a job, as the module's docstring describes them."""
    library = ctypes.CDLL(job["library"])
    sample_rate = library.espeak_Initialize(SYNCHRONOUS, 200, job["data"].encode(), PHONEME_EVENTS_IN_IPA_AND_NO_EXIT)
    if sample_rate <= 0:
        raise RuntimeError(f"espeak-ng cannot start from {job['data']}")
    if library.espeak_SetVoiceByName(job["voice"].encode()) != 0:
        raise RuntimeError(f"espeak-ng has no voice {job['voice']}")
    for parameter, name in ((RATE, "rate"), (PITCH, "pitch"), (RANGE, "range")):
        library.espeak_SetParameter(parameter, job[name], 0)

    samples = bytearray()
    events: list[tuple[str, int, object]] = []

    def receive(wave: int | None, count: int, event: "ctypes._Pointer[_Event]") -> int:
        if wave and count:
            samples.extend(ctypes.string_at(wave, 2 * count))
        index = 0
        while event[index].type != END_OF_LIST:
            one = event[index]
            if one.type == WORD:
                events.append(("word", one.sample, one.text_position))
            elif one.type == PHONEME:
                events.append(("phone", one.sample, one.id.string.decode("utf-8", "replace")))
            index += 1
        return 0

    callback = _Callback(receive)
    library.espeak_SetSynthCallback(callback)
    texts = []
    for text in job["texts"]:
        before = len(samples)
        events.clear()
        data = text.encode() + b"\0"
        library.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, CHARACTER_POSITION, 0, UTF8, None, None)
        library.espeak_Synchronize()
        texts.append({"samples": (len(samples) - before) // 2, "events": list(events)})
    return {"sample_rate": sample_rate, "texts": texts}, bytes(samples)


if __name__ == "__main__":
    header, pcm = speak(json.load(sys.stdin))
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + pcm)
