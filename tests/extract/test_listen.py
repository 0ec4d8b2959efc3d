"""What the encoder was given can be heard and seen: the very samples, and the very text."""

from __future__ import annotations

import io

import matplotlib.image
import numpy as np
import pytest
import soundfile
from msmt.errors import AudioError, SettingError, StoreError
from msmt.extract.audio import normalised
from msmt.extract.config import ExtractConfig
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.encoders import AudioEncoder
from msmt.extract.listen import listen, marked
from msmt.extract.pipeline import extract
from msmt.extract.views import ViewOptions
from msmt.features.segments import ORIGINAL
from msmt.features.store import open_store
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
