"""What stores made before there were kinds of features hold is still what is wanted: same specs, same identities."""

from __future__ import annotations

import torch
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.digests import file_digest
from msmt.extract.extractors.contract import Material, Setup
from msmt.extract.extractors.speech import Speech, SpeechOptions
from msmt.extract.extractors.text import Text, TextOptions
from msmt.features.rows import identity_of
from msmt.tests.extract.made import save_encoders, write_calls

ALWAYS = {"modality", "encoder", "encoder_class", "weights", "width", "max_rows", "revision", "layer", "sample_rate"}
ALWAYS |= {"max_samples", "normalisation", "padding", "precision", "dtype"}


def test_features_as_they_were_have_the_specs_and_identities_that_they_had(tmp_path):
    write_calls(tmp_path / "calls", recordings=5)
    audio, text = save_encoders(tmp_path)
    table = load_corpus("marketcalls", tmp_path / "calls").table
    table.loc[2, ["start", "end", "channel"]] = 0.1, 0.3, 0
    material = Material(tmp_path / "calls", table, lambda path: file_digest(tmp_path / "calls" / path))
    setup = Setup(torch.device("cpu"))
    speech = Speech.load("", SpeechOptions(encoder=str(audio), rate=8000), setup)
    words = Text.load("", TextOptions(encoder=str(text)), setup)
    ours, theirs = speech.specs["hubert"], words.specs["roberta"]
    assert set(ours.to_json()) == ALWAYS | {"encoder_rate"} and set(theirs.to_json()) == ALWAYS
    assert (ours.layer, ours.max_rows, ours.dtype) == (-1, 999, "float16") and theirs.max_rows == 199
    made = {**speech.identities(material), **words.identities(material)}
    for row, segment in table.iterrows():
        place = ("0.1", "0.3", "0") if row == 2 else ("nan", "nan", "-1")
        digest = file_digest(tmp_path / "calls" / segment["audio"])
        assert made["hubert"][row] == identity_of(ours.fingerprint, digest, *place)
        assert made["roberta"][row] == identity_of(theirs.fingerprint, segment["text"])
