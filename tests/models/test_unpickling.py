"""Damaged archives, and files in a checkpoint's place."""

from __future__ import annotations

import io
import struct
import tarfile
import warnings
import zipfile

import pytest
import torch

from multires.errors import MultiresError
from multires.models.unpickling import read_pickled


def test_every_flipped_bit_of_the_weights_is_noticed(tmp_path):
    whole, path = tmp_path / "whole.pt", tmp_path / "flipped.pt"
    torch.save({"model": {"a": torch.arange(64.0)}}, whole)
    content = whole.read_bytes()
    with zipfile.ZipFile(whole) as archive:
        member = max((m for m in archive.infolist() if "/data/" in m.filename), key=lambda m: m.file_size)
    start = member.header_offset + 30 + sum(struct.unpack_from("<HH", content, member.header_offset + 26))
    for place in range(start, start + 256, 5):
        flipped = bytearray(content)
        flipped[place] ^= 0x40
        path.write_bytes(flipped)
        with pytest.raises(MultiresError, match=r"damaged \('flipped|damaged \('whole"):
            read_pickled(path)
    assert torch.equal(read_pickled(whole)["model"]["a"], torch.arange(64.0))


def test_an_entry_that_is_there_twice(tmp_path):
    packed = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(packed, "w") as archive:
            for text in ("one", "other"):
                archive.writestr("archive/data.pkl", text)
    (tmp_path / "x.pt").write_bytes(packed.getvalue())
    with pytest.raises(MultiresError, match="twice"):
        read_pickled(tmp_path / "x.pt")


def test_other_files_are_named_for_what_they_are(tmp_path):
    path = tmp_path / "x.pt"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1136468879\n")
    with pytest.raises(MultiresError, match="Git LFS pointer"):
        read_pickled(path)
    path.write_text("<!DOCTYPE html><html>Quota exceeded</html>")
    with pytest.raises(MultiresError, match="web page") as refused:
        read_pickled(path)
    assert "PyTorch 2.6" not in str(refused.value)
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    with pytest.raises(MultiresError, match="tar archive"):
        read_pickled(path)
    torch.save([torch.zeros(1)], path)
    with pytest.raises(MultiresError, match="a list"):
        read_pickled(path)
