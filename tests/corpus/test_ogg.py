import io

import numpy as np
import pytest
import soundfile

from multires.corpus.ogg import checksum, with_serial
from multires.errors import MultiresError


def encoded():
    packed = io.BytesIO()
    wave = 0.1 * np.sin(np.arange(48_000) / 20)
    soundfile.write(packed, wave, 16_000, format="OGG", subtype="OPUS")
    return packed.getvalue()


def test_the_serial_is_the_only_change():
    original = encoded()
    changed = with_serial(original, 7)
    assert int.from_bytes(changed[14:18], "little") == 7
    before, after = (soundfile.read(io.BytesIO(data))[0] for data in (original, changed))
    assert np.array_equal(before, after)
    assert with_serial(changed, int.from_bytes(original[14:18], "little")) == original  # the encoder's own checksums


def test_the_checksum_of_a_known_text():
    """CRC-32/CKSUM without its final inversion and length, as catalogued (CRC-32/MPEG-2 started from 0)."""
    assert checksum(b"123456789") == 0x765E7680 ^ 0xFFFFFFFF


def test_data_that_are_not_whole_pages_are_refused():
    with pytest.raises(MultiresError, match="whole Ogg pages"):
        with_serial(encoded()[:-5], 7)
