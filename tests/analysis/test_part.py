"""A part of a run has fewer models and shares what was read, and the pair for a comparison is found."""

from multires.analysis.part import part_of, resolution_pair
from multires.analysis.run import open_run


def test_a_part_shares_what_the_run_has_read(framed):
    read = framed.corpus
    part = part_of(framed, framed.profile.models[:1], unit_clusters=(5,))
    assert part.profile.models == framed.profile.models[:1]
    assert part.profile.unit_clusters == (5,)
    assert part.corpus is read
    name = part.profile.models[0]
    assert part.model(name) is framed.model(name)
    assert framed.profile.unit_clusters != (5,)
    sample = framed.frame_sample
    assert part_of(framed, framed.profile.models).frame_sample is sample
    assert len(part_of(framed, framed.profile.models, frame_utterances=2).frame_sample) < len(sample)


def test_the_pair_differs_in_downsampling_alone(tmp_path):
    run = open_run("librispeech-sample", workspace=tmp_path, progress=False)
    assert resolution_pair(run) == ("librispeech/multi+aux-0", "librispeech/mono+aux-0")
    without = open_run(
        "librispeech-sample", workspace=tmp_path, progress=False, models="librispeech/mono-0,librispeech/multi-0"
    )
    assert resolution_pair(without) == ("librispeech/multi-0", "librispeech/mono-0")


def test_a_run_without_a_pair_gives_its_first_models(framed):
    assert resolution_pair(framed) == framed.profile.models
    acoustic = part_of(framed, ("mel",))
    assert resolution_pair(acoustic) == ("mel",)
