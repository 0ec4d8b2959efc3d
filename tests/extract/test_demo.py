from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from msmt.errors import SettingError
from msmt.extract import demo
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.layouts import meld
from msmt.extract.layouts.encoders import WIDTH
from msmt.extract.layouts.sentences import LINES, SMALL_TALK
from msmt.train.config import ModelConfig, TrainConfig


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, demo.DemoPaths]:
    folder = tmp_path_factory.mktemp("demo")
    return folder, demo.make_demo(folder)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_corpus_is_one_in_the_marketcalls_layout(made):
    corpus = load_corpus("marketcalls", made[1].data)
    recordings = corpus.table.drop_duplicates("recording_id")
    assert recordings["split"].value_counts().to_dict() == demo.RECORDINGS
    for split in demo.RECORDINGS:
        assert set(recordings.loc[recordings["split"] == split, "label_five"]) == {0, 1, 2, 3, 4}
    assert corpus.table.groupby("recording_id").size().between(1, demo.MOST_SEGMENTS).all()
    assert corpus.notes == ()


def test_segments_are_telephone_audio_of_two_to_six_seconds(made):
    for path in list((made[1].data / "audio").iterdir())[::10]:
        information = soundfile.info(str(path))
        assert (information.samplerate, information.channels, information.subtype) == (8000, 1, "PCM_16")
        assert demo.SHORTEST <= information.duration <= demo.LONGEST


def test_texts_are_turns_of_agent_and_customer(made):
    assert (
        load_corpus("marketcalls", made[1].data)
        .table["text"]
        .str.fullmatch(r"客服：[\u4e00-\u9fff]+ 顾客：[\u4e00-\u9fff]+")
        .all()
    )


def test_the_encoders_load_as_any_others_do(made):
    from transformers import AutoModel, AutoTokenizer

    audio = AutoModel.from_pretrained(made[1].audio_encoder, local_files_only=True)
    text = AutoModel.from_pretrained(made[1].text_encoder, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(made[1].text_encoder, local_files_only=True)
    assert (type(audio).__name__, audio.config.feat_extract_norm) == ("HubertModel", "group")
    assert (type(text).__name__, len(tokenizer)) == ("BertModel", text.config.vocab_size)
    assert audio.config.hidden_size == text.config.hidden_size == WIDTH
    assert tokenizer.unk_token_id not in tokenizer("客服：您好 顾客：斑马 zebra")["input_ids"]


def test_the_settings_are_options_of_training(made):
    settings = yaml.safe_load(made[1].config.read_text())
    model = {field.name for field in dataclasses.fields(ModelConfig)}
    ModelConfig(**{name: value for name, value in settings.items() if name in model}, width=WIDTH)
    TrainConfig(**{name: value for name, value in settings.items() if name not in model})


def test_it_says_in_plain_words_that_it_is_synthetic(made):
    text = (made[1].data / "README.txt").read_text()
    assert "synthetic" in text and "random" in text and "mean nothing" in text


def test_the_same_seed_gives_the_same_bytes_over_an_earlier_demo_too(made):
    before = digests(made[0])
    (made[1].data / "audio" / "left-over.wav").touch()
    demo.make_demo(made[0])
    assert digests(made[0]) == before


def test_its_bytes_are_those_of_ever(made):
    """A store of it that somebody has stays one of it; all that is drawn comes before what stands here."""
    content = (made[1].data / "train.csv").read_bytes()
    assert hashlib.sha256(content).hexdigest().startswith("49c796f1197c6d10748170794691402a")
    samples, _ = soundfile.read(made[1].data / "audio" / "demo092_02.wav", dtype="int16")
    assert len(samples) == 33539
    expected = [-77, -1836, -1203, -2750, -725, -1972, -2051, -278, 394, 195, 64, -121]
    np.testing.assert_allclose(samples[:18000:1500], expected, atol=1)


def test_another_seed_gives_another_corpus(made, tmp_path):
    assert digests(demo.make_demo(tmp_path, seed=1).data) != digests(made[1].data)


@pytest.mark.parametrize("there", ["data/marketcalls/train.csv", "encoders/audio/config.json", "demo.yaml"])
def test_nothing_that_is_not_a_demo_is_overwritten(tmp_path, there):
    path = tmp_path / there
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    with pytest.raises(SettingError, match="is not of a demo"):
        demo.make_demo(tmp_path)
    assert path.read_text() == "mine" and [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


def test_classes_speak_differently():
    level, seconds = {}, {}
    for label, manner in demo.CUSTOMERS.items():
        sound = demo.speech("我想问一下价格是多少", manner, np.random.default_rng(0))
        level[label], seconds[label] = np.sqrt(np.mean(sound**2)), len(sound) / demo.SAMPLE_RATE
    assert max(level, key=level.get) == "D" and min(level, key=level.get) == "E"
    assert max(seconds, key=seconds.get) == "E" and min(seconds, key=seconds.get) == "C"


def test_the_pitch_of_a_voice_is_the_one_that_was_asked_for():
    manner = dataclasses.replace(demo.AGENT, pitch=200.0, melody=0.0)
    sound = demo.speech("啊啊啊啊啊啊", manner, np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    frequency = np.fft.rfftfreq(len(sound), 1 / demo.SAMPLE_RATE)
    between = (frequency > 150) & (frequency < 250)
    assert frequency[between][spectrum[between].argmax()] == pytest.approx(200, rel=0.05)


class TestLayout:
    """A demo in the layout of a public corpus."""

    @pytest.fixture(autouse=True)
    def few_dialogues(self, monkeypatch):
        shorter = {"train": (0, 125), "val": (0,), "test": (0, 1)}
        parts = {name: dataclasses.replace(split, dialogues=shorter[name]) for name, split in meld.SPLITS.items()}
        monkeypatch.setattr(meld, "SPLITS", parts)

    def test_it_has_corpus_encoders_settings_and_says_what_it_is(self, tmp_path):
        paths = demo.make_demo(tmp_path, layout="meld")
        assert paths.data == tmp_path / "data" / "meld" and paths.config.is_file()
        assert len(load_corpus("meld", paths.data).table) > 10
        text = (paths.data / "README.txt").read_text()
        assert "synthetic" in text and "random" in text and "mean nothing" in text and "meld" in text

    def test_its_text_encoder_knows_every_word_of_its_sentences(self, tmp_path):
        from transformers import AutoTokenizer

        paths = demo.make_demo(tmp_path, layout="meld")
        tokenizer = AutoTokenizer.from_pretrained(paths.text_encoder, local_files_only=True)
        for language in ("en", "zh"):
            for line in [*SMALL_TALK[language], *(line for lines in LINES[language].values() for line in lines)]:
                tokens = tokenizer.tokenize(line.replace("'", "’"))
                assert tokenizer.unk_token not in tokens and not any(token.startswith("##") for token in tokens)
        assert tokenizer.unk_token_id not in tokenizer("Weiß der Tisch, zebra-like?")["input_ids"]

    def test_the_same_seed_gives_the_same_bytes_over_an_earlier_demo_too(self, tmp_path):
        demo.make_demo(tmp_path, seed=2, layout="meld")
        before = digests(tmp_path)
        (tmp_path / "data" / "meld" / "train" / "left-over.mp4").touch()
        demo.make_demo(tmp_path, seed=2, layout="meld")
        assert digests(tmp_path) == before

    def test_nothing_that_is_not_a_demo_is_overwritten(self, tmp_path):
        (tmp_path / "data" / "meld").mkdir(parents=True)
        (tmp_path / "data" / "meld" / "train_sent_emo.csv").write_text("mine")
        with pytest.raises(SettingError, match="is not of a demo"):
            demo.make_demo(tmp_path, layout="meld")
        assert (tmp_path / "data" / "meld" / "train_sent_emo.csv").read_text() == "mine"
        assert not (tmp_path / "encoders").exists()

    def test_a_layout_that_nobody_knows_is_refused_before_anything_is_written(self, tmp_path):
        with pytest.raises(SettingError, match="layout must be meld or iemocap or .* but is 'melt'"):
            demo.make_demo(tmp_path, layout="melt")
        assert not list(tmp_path.iterdir())
