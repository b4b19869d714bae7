from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import settings

from multires.corpus import load_corpus

settings.register_profile("files", deadline=None)  # files take as long as the disk is busy
settings.load_profile("files")


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A few minutes of the synthetic corpus."""
    return load_corpus("synthetic", hours=0.1, cache=tmp_path_factory.mktemp("cache"), progress=False)


@pytest.fixture
def tone():
    """Writes a tone of some seconds to a file and returns the path."""

    def write(path: Path, seconds: float = 1.0, rate: int = 16_000, channels: int = 1, **more) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        wave = 0.5 * np.sin(2 * np.pi * 200 * np.arange(round(seconds * rate)) / rate)
        soundfile.write(path, np.column_stack([wave] * channels), rate, **more)
        return path

    return write


def textgrid(tiers: dict[str, list[tuple[float, float, str]]], end: float = 1.0) -> str:
    """A TextGrid in the long format."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, intervals) in enumerate(tiers.items(), start=1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", f"        xmax = {end}", f"        intervals: size = {len(intervals)}"]
        for place, (start, stop, label) in enumerate(intervals, start=1):
            lines += [f"        intervals [{place}]:", f"            xmin = {start}", f"            xmax = {stop}"]
            lines += [f'            text = "{label}"']
    return "\n".join(lines) + "\n"


@pytest.fixture(name="textgrid")
def _textgrid():
    return textgrid
