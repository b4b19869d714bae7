"""Archives in their published layout, from a server on this machine, to a corpus that loads."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import soundfile

from multires.corpus import load_corpus, openslr
from multires.errors import MultiresError

WORDS = [(0.0, 0.5, "TWO"), (0.5, 1.0, "")]
PHONES = [(0.0, 0.2, "T"), (0.2, 0.5, "UW1"), (0.5, 1.0, "sp")]
SPLITS = ("dev-clean", "train-clean-100")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments) -> None:
        pass


@pytest.fixture
def published(tmp_path, tone, textgrid, monkeypatch):
    """A mirror that holds two small splits and alignments of three, as ``<host>/<path>``; digests are those of its files."""
    mirror = tmp_path / "mirror"
    resources = mirror / "www.openslr.org" / "resources" / "12"
    record = mirror / "zenodo.org" / "record" / "2619474" / "files"
    resources.mkdir(parents=True)
    record.mkdir(parents=True)
    source = tmp_path / "source"
    with zipfile.ZipFile(record / "librispeech_alignments.zip", "w") as grids:
        for split, speaker in (*zip(SPLITS, ("84", "103"), strict=True), ("test-other", "367")):
            chapter = source / "LibriSpeech" / split / speaker / "12"
            names = [f"{speaker}-12-000{number}" for number in range(2)]
            for name in names:
                tone(chapter / f"{name}.flac")
                place = f"LibriSpeech/{split}/{speaker}/12/{name}.TextGrid"
                grids.writestr(place, textgrid({"words": WORDS, "phones": PHONES}))
            (chapter / f"{speaker}-12.trans.txt").write_text("".join(f"{name} TWO\n" for name in names))
    (source / "LibriSpeech" / "SPEAKERS.TXT").write_text("; speakers\n")
    for split in SPLITS:
        with tarfile.open(resources / f"{split}.tar.gz", "w:gz") as archive:
            archive.add(source / "LibriSpeech" / "SPEAKERS.TXT", "LibriSpeech/SPEAKERS.TXT")
            archive.add(source / "LibriSpeech" / split, f"LibriSpeech/{split}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=mirror))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("MULTIRES_MIRROR", f"http://127.0.0.1:{server.server_port}")
    trust(monkeypatch, mirror)
    yield mirror
    server.shutdown()
    server.server_close()


def trust(monkeypatch, mirror) -> None:
    """Take the mirror's files for the published ones."""
    resources = mirror / "www.openslr.org" / "resources" / "12"
    for split in SPLITS:
        old = openslr.SPLITS[split]
        digest = f"sha256:{hashlib.sha256((resources / old.archive.name).read_bytes()).hexdigest()}"
        archive = openslr.Archive(old.archive.name, old.archive.url, digest, 1, 1)
        monkeypatch.setitem(openslr.SPLITS, split, openslr.Split(archive, 0.1, 1))
    grids = mirror / "zenodo.org" / "record" / "2619474" / "files" / "librispeech_alignments.zip"
    digest = f"md5:{hashlib.md5(grids.read_bytes()).hexdigest()}"
    alignments = openslr.Archive(grids.name, openslr.ALIGNMENTS.url, digest, 1, 0)
    monkeypatch.setattr(openslr, "ALIGNMENTS", alignments)


def provide(root, splits=SPLITS):
    return openslr.provide(root, splits, progress=False)


def test_archives_become_an_aligned_corpus(published, tmp_path):
    root = tmp_path / "root"
    assert [archive.name for archive in openslr.absent(root, SPLITS)] == [
        "dev-clean.tar.gz", "train-clean-100.tar.gz", "librispeech_alignments.zip",
    ]  # fmt: skip
    assert provide(root) == root
    corpus = load_corpus("librispeech", root, progress=False)
    assert corpus.splits == SPLITS
    assert [u.id for u in corpus] == ["84-12-0000", "84-12-0001", "103-12-0000", "103-12-0001"]
    assert all(u.phones and u.words and u.transcript == "two" for u in corpus)
    assert not corpus.skipped
    assert sorted(path.name for path in root.iterdir()) == ["LibriSpeech", "alignments"]  # neither archives nor parts
    assert not (root / "alignments" / "test-other").exists()  # was not asked for
    assert (root / "LibriSpeech" / "SPEAKERS.TXT").is_file()
    assert openslr.absent(root, SPLITS) == []


def test_what_is_there_is_not_fetched_again(published, tmp_path):
    root = tmp_path / "root"
    provide(root, ["dev-clean"])
    before = (root / "LibriSpeech" / "dev-clean" / "84" / "12" / "84-12-0000.flac").stat().st_mtime_ns
    (published / "www.openslr.org" / "resources" / "12" / "dev-clean.tar.gz").unlink()
    assert [archive.name for archive in openslr.absent(root, SPLITS)] == [
        "train-clean-100.tar.gz", "librispeech_alignments.zip",
    ]  # fmt: skip
    provide(root)
    assert (root / "LibriSpeech" / "dev-clean" / "84" / "12" / "84-12-0000.flac").stat().st_mtime_ns == before
    assert openslr.absent(root, SPLITS) == []


def test_an_archive_put_there_by_hand_is_used_and_checked(published, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    archive = published / "www.openslr.org" / "resources" / "12" / "dev-clean.tar.gz"
    archive.rename(root / "dev-clean.tar.gz")
    provide(root, ["dev-clean"])
    assert (root / "LibriSpeech" / "dev-clean").is_dir()
    (root / "train-clean-100.tar.gz").write_bytes(b"something else")
    with pytest.raises(MultiresError, match=r"train-clean-100.tar.gz is not the published .* delete it"):
        provide(root)


def test_a_download_that_fails_says_where_to_put_the_file(published, tmp_path):
    root = tmp_path / "root"
    (published / "www.openslr.org" / "resources" / "12" / "dev-clean.tar.gz").unlink()
    with pytest.raises(
        MultiresError, match=r"dev-clean.tar.gz \(the server answered 404\): put the file from .*openslr"
    ):
        provide(root)


def test_another_file_than_the_published_one_is_refused(published, tmp_path):
    (published / "www.openslr.org" / "resources" / "12" / "dev-clean.tar.gz").write_bytes(b"tampered")
    with pytest.raises(MultiresError, match=r"is not the dev-clean.tar.gz first fetched or published"):
        provide(tmp_path / "root")
    assert not (tmp_path / "root" / "LibriSpeech").exists()


@pytest.mark.parametrize("name", ["../outside.flac", "LibriSpeech/../../outside.flac", "/outside.flac"])
@pytest.mark.parametrize("kind", ["speech", "alignments"])
def test_no_member_of_an_archive_leaves_its_folder(published, tmp_path, monkeypatch, kind, name):
    if kind == "speech":
        with tarfile.open(published / "www.openslr.org" / "resources" / "12" / "dev-clean.tar.gz", "w:gz") as archive:
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
    else:
        grids = published / "zenodo.org" / "record" / "2619474" / "files" / "librispeech_alignments.zip"
        with zipfile.ZipFile(grids, "a") as archive:
            archive.writestr(name, "evil")
    trust(monkeypatch, published)
    root = tmp_path / "deep" / "root"
    with pytest.raises(MultiresError, match="has a member that would leave its folder"):
        provide(root, ["dev-clean"])
    assert not list(tmp_path.rglob("outside.flac"))
    assert not [path for path in root.iterdir() if path.name.endswith(".partial")]


def test_links_in_an_archive_are_not_followed(published, tmp_path, monkeypatch):
    archive_path = published / "www.openslr.org" / "resources" / "12" / "dev-clean.tar.gz"
    (tmp_path / "secret").write_text("secret")
    with tarfile.open(archive_path, "w:gz") as archive:
        link = tarfile.TarInfo("LibriSpeech/dev-clean/84/12/84-12-0000.flac")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
        archive.addfile(link)
    trust(monkeypatch, published)
    with pytest.raises(MultiresError, match="holds nothing in the layout"):
        provide(tmp_path / "root", ["dev-clean"])


@pytest.mark.parametrize("keep", [0.5, 0.98])
def test_a_damaged_archive_leaves_no_half_split(published, tmp_path, monkeypatch, keep):
    for path, kind in (
        (published / "www.openslr.org" / "resources" / "12" / "dev-clean.tar.gz", "LibriSpeech"),
        (published / "zenodo.org" / "record" / "2619474" / "files" / "librispeech_alignments.zip", "alignments"),
    ):
        content = path.read_bytes()
        path.write_bytes(content[: int(keep * len(content))])
        trust(monkeypatch, published)
        with pytest.raises(MultiresError, match=r"is damaged .* delete it, and it is fetched again"):
            provide(tmp_path / "root", ["dev-clean"])
        assert not (tmp_path / "root" / kind / "dev-clean").exists()
        path.write_bytes(content)
        trust(monkeypatch, published)
        (tmp_path / "root" / path.name).unlink()


def test_an_archive_of_another_split_is_refused(published, tmp_path, monkeypatch):
    resources = published / "www.openslr.org" / "resources" / "12"
    (resources / "dev-clean.tar.gz").write_bytes((resources / "train-clean-100.tar.gz").read_bytes())
    trust(monkeypatch, published)
    with pytest.raises(MultiresError, match="holds no LibriSpeech/dev-clean"):
        provide(tmp_path / "root")


def test_unknown_splits_are_named_with_the_known_ones(tmp_path):
    with pytest.raises(MultiresError, match=r"unknown split of LibriSpeech 'dev-dirty': choose one of dev-clean, "):
        openslr.absent(tmp_path, ["dev-dirty"])


def test_digests_agree_with_torchaudios():
    """torchaudio keeps the same archives' SHA-256 for its own downloads."""
    from torchaudio.datasets import librispeech

    theirs = {url.rpartition("/")[2]: digest for url, digest in librispeech._CHECKSUMS.items()}
    ours = {split.archive.name: split.archive.digest.removeprefix("sha256:") for split in openslr.SPLITS.values()}
    assert ours == theirs


def test_a_tone_is_flac(published, tmp_path):
    provide(tmp_path / "root", ["dev-clean"])
    assert soundfile.info(tmp_path / "root/LibriSpeech/dev-clean/84/12/84-12-0000.flac").format == "FLAC"
