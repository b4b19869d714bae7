"""Names for readers, one for each thing."""

import pandas as pd

from multires.report.names import condition_name, depth_label, layer_name, models_name


def test_names_of_conditions_are_distinct_and_no_keys():
    keys = [f"{base}{end}" for base in ("mono", "multi", "multi3") for end in ("", "+aux")]
    names = [condition_name(key) for key in ["hubert", *keys]]
    assert len({*names}) == len(names)
    assert not {"mono", "multi"} & {word for name in names for word in name.split()}


def test_a_layer_is_named_by_its_depth_whatever_its_block():
    assert {layer_name(name, 3) for name in ("encoder.0.2", "middle.0", "decoder.0.1")} == {"layer 3"}
    assert layer_name("mel", float("nan")) == "log-mel"
    assert depth_label(pd.DataFrame({"layer": ["conv", "encoder.0.0"]})) == "layer (0: waveform encoder)"
    assert depth_label(pd.DataFrame({"value": [1]})) == "layer"


def test_published_models_keep_their_key_and_say_what_they_are():
    table = pd.DataFrame({"model": ["mono_base", "mel"], "condition": ["multi+aux", "mel"], "trained": True})
    assert models_name(table) == "mono_base (MR-HuBERT)"
