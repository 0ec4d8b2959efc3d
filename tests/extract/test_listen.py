"""What the encoder was given can be heard and seen: the very samples, and the very text."""

from __future__ import annotations

import io
import re
import shutil

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import soundfile
from msmt.errors import AudioError, SettingError, StoreError
from msmt.extract.config import ExtractConfig
from msmt.extract.corpora.config import GenericOptions
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.encoders import AudioEncoder
from msmt.extract.listen import listen, marked
from msmt.extract.pipeline import extract
from msmt.extract.sound.audio import normalised
from msmt.extract.sound.views import ViewOptions
from msmt.features.opening import open_store
from msmt.features.segments import ORIGINAL
from msmt.tests.extract.made import save_encoders, speech_like, write_calls


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a corpus and a store of its views, and the samples that the encoder was given, by their number."""
    folder = tmp_path_factory.mktemp("listen")
    write_calls(folder / "calls", recordings=5)
    config = ExtractConfig(*map(str, save_encoders(folder)), max_seconds=1.5, max_tokens=30, precision="float32")
    given: dict[int, list[np.ndarray]] = {}
    encode = AudioEncoder.encode
    with pytest.MonkeyPatch.context() as patch:

        def noted(self, batch):
            for samples in batch:
                given.setdefault(len(samples), []).append(samples)
            return encode(self, batch)

        patch.setattr(AudioEncoder, "encode", noted)
        views = ViewOptions(augment="noise,speed,mask,homophone", homophone_rate=1.0, homophone_tones="ignore")
        extract(load_corpus("marketcalls", folder / "calls"), folder / "a.zarr", config, views=views)
    return folder, given


@pytest.mark.parametrize("view", [ORIGINAL, "noise", "speed", "mask"])
def test_the_very_samples_are_written_and_a_picture_beside_them(view, made, tmp_path):
    folder, given = made
    store = open_store(folder / "a.zarr")
    for segment in ("call0_1", "call2_2"):
        heard = listen(store, segment, view, tmp_path / f"{segment}.wav", folder / "calls")
        samples, rate = soundfile.read(heard.files[0], dtype="float32")
        assert rate == 8000 and heard.files[1] == tmp_path / f"{segment}.png"
        closest = min(np.abs(normalised(samples) - one).max() for one in given[len(samples)])
        assert closest < 0.02 if len(samples) == 12_000 else closest == 0  # what is cut was normalised as a whole
        picture = matplotlib.image.imread(io.BytesIO(heard.files[1].read_bytes()))
        assert picture.shape[0] > 400 * (1 if view == ORIGINAL else 2) and picture[..., :3].std() > 0.05


def test_of_a_view_of_the_text_both_transcripts_are_shown(made, tmp_path):
    folder, _ = made
    store = open_store(folder / "a.zarr")
    altered = store.segments[store.segments["view"] == "homophone"]
    for _, row in altered.iterrows():
        before = store.segments["text"][(store.segments["segment_id"] == row["segment_id"])].iloc[0]
        one, other, count = listen(store, row["segment_id"], "homophone", None, tmp_path / "nowhere").lines
        assert one == f"original:  {marked(before, row['text'])[0]}"
        assert other == f"homophone: {marked(before, row['text'])[1]}"
        replaced = sum(a != b for a, b in zip(before, row["text"], strict=True))
        assert count == f"{replaced} of {len(before)} characters replaced"
    assert marked("你好吗 abc", "你号马 abc") == ("你[好吗] abc", "你[号马] abc")
    assert marked("好你好", "号你号") == ("[好]你[好]", "[号]你[号]")


def test_what_cannot_be_heard_is_refused(made, tmp_path):
    folder, _ = made
    store = open_store(folder / "a.zarr")
    for error, match, *arguments in (
        (StoreError, "has no segment 'nobody'; its segments are call0_1", "nobody", "noise", None, folder / "calls"),
        (StoreError, "segment call3_1 has no view 'noise', only original", "call3_1", "noise", None, folder / "calls"),
        (SettingError, "must end in .wav", "call0_1", "noise", tmp_path / "a.mp3", folder / "calls"),
        (AudioError, "No such file.*--data", "call0_1", "noise", tmp_path / "a.wav", tmp_path),
        (SettingError, "no audio feature wavlm", "call0_1", "noise", tmp_path / "a.wav", folder / "calls", "wavlm"),
    ):
        with pytest.raises(error, match=match):
            listen(store, *arguments)
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio/call0_1.wav", speech_like(0.7, seed=5), 8000)
    with pytest.raises(StoreError, match="is not what hubert was made from"):
        listen(store, "call0_1", "noise", tmp_path / "a.wav", tmp_path)
    assert not list(tmp_path.glob("*.wav"))


def test_what_was_drawn_for_the_view_is_told(made, tmp_path):
    folder, _ = made
    store = open_store(folder / "a.zarr")
    told = {
        view: listen(store, "call0_1", view, tmp_path / "a.wav", folder / "calls").lines[0]
        for view in (ORIGINAL, "noise", "speed", "mask")
    }
    decibels = float(re.search(r"noise ([\d.]+) dB below the segment", told["noise"])[1])
    factor = float(re.search(r"([\d.]+) times as fast", told["speed"])[1])
    assert 10 <= decibels <= 40 and 0.9 <= factor <= 1.1 and "10% masked" in told["mask"]
    assert "dB" not in told[ORIGINAL]
    lengths = [
        len(soundfile.read(listen(store, "call0_1", view, tmp_path / "b.wav", folder / "calls").files[0])[0])
        for view in (ORIGINAL, "speed")
    ]
    assert lengths[0] < 12_000 and lengths[0] / lengths[1] == pytest.approx(factor, abs=0.001)


def test_audio_outside_the_data_folder_is_looked_for_where_it_is(made, tmp_path):
    folder, _ = made
    (tmp_path / "data").mkdir()
    soundfile.write(tmp_path / "data/kept.wav", speech_like(0.5), 8000)
    shutil.copytree(folder / "calls/audio", tmp_path / "elsewhere")
    pd.DataFrame(
        {
            "audio": [f"call{i}_1.wav" for i in range(5)],
            "text": ["yes no"] * 5,
            "label": list("ABABA"),
            "split": ["train", "train", "train", "val", "test"],
        }
    ).to_csv(tmp_path / "data/segments.csv", index=False)
    encoders = (str(folder / "encoders/audio"), str(folder / "encoders/text"))
    options = GenericOptions(audio_dir=str(tmp_path / "elsewhere"))
    config = ExtractConfig(*encoders, max_seconds=1.5, max_tokens=30, precision="float32", sample_rate=8000)
    extract(load_corpus("generic", tmp_path / "data", options), tmp_path / "b.zarr", config)
    store = open_store(tmp_path / "b.zarr")
    segment = store.segments["segment_id"].iloc[0]
    with pytest.raises(AudioError, match="or its folder of audio where msmt extract was given one outside"):
        listen(store, segment, ORIGINAL, tmp_path / "a.wav", tmp_path / "data")
    assert listen(store, segment, ORIGINAL, tmp_path / "a.wav", tmp_path / "elsewhere").files


@pytest.mark.parametrize("path", ["../../secret.wav", "/etc/secret.wav", "audio/../../secret.wav"])
@pytest.mark.parametrize("view", [ORIGINAL, "noise"])
def test_a_store_cannot_make_anyone_hear_a_file_outside_the_data_folder(made, tmp_path, path, view):
    folder, _ = made
    soundfile.write(tmp_path / "secret.wav", speech_like(0.7), 8000)
    store = open_store(folder / "a.zarr")
    for changed_view in {ORIGINAL, view}:
        rows = (store.segments["segment_id"] == "call0_1") & (store.segments["view"] == changed_view)
        store._table = store.segments.assign(audio=store.segments["audio"].where(~rows, path))
        with pytest.raises(StoreError, match="names audio outside the data folder"):
            listen(store, "call0_1", view, tmp_path / "a.wav", tmp_path / "x/y")
        store._forget()
    assert not (tmp_path / "a.wav").exists()
