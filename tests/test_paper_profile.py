"""The profile `paper`, from a loopback server with stand-ins of the published layout to its verdicts."""

import pytest

from multires.analysis import plan
from multires.book.evidence import claims
from multires.report import verdicts


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*training rows for.*columns")
def test_from_downloads_to_verdicts(tmp_path, capsys, monkeypatch):
    pytest.importorskip("fairseq", reason="fairseq has no build for this Python")
    from benchmarks import paper

    monkeypatch.setattr(plan, "_disk", lambda folder: 1e6)  # the stand-ins need no 5 GB, as what they stand for does
    mirror = paper.write_mirror(tmp_path / "mirror", hours=0.03)
    with paper.served(mirror, tmp_path / "cache"):
        run, said = paper.conclude(tmp_path / "workspace", layers="encoder.0.1,middle.0", views="phone,word", trials=1)
        told = capsys.readouterr().out
        assert told.index("profile paper:") < told.index("downloads")
        for name in ("train-clean-100.tar.gz", "dev-clean.tar.gz", "librispeech_alignments.zip", *paper.STAND_INS):
            assert name in told
        assert run.corpus.splits == ("train-clean-100", "dev-clean")
        assert not run.corpus.skipped
        assert all(utterance.phones and utterance.words for utterance in run.corpus)
        assert [run.condition(subject) for subject in run.subjects] == ["hubert", "multi+aux", "multi", "mono+aux"]
        phones = run.segments[run.segments["unit"] == "phone"].groupby(["split", "label"]).size()
        assert phones.max() <= paper.SMALL["phones_each"]
        judged = claims(run).table
        assert set(judged["claim"]) == {1, 2, 3}
        for title in verdicts.CLAIMS.values():
            assert title in said
    assert sorted(path.name for path in (tmp_path / "cache" / "corpus" / "librispeech").iterdir()) == [
        "LibriSpeech", "alignments",
    ]  # fmt: skip
