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
    assert audio.config.hidden_size == text.config.hidden_size == demo.WIDTH
    assert tokenizer.unk_token_id not in tokenizer("客服：您好 顾客：斑马 zebra")["input_ids"]


def test_the_settings_are_options_of_training(made):
    settings = yaml.safe_load(made[1].config.read_text())
    model = {field.name for field in dataclasses.fields(ModelConfig)}
    ModelConfig(**{name: value for name, value in settings.items() if name in model}, width=demo.WIDTH)
    TrainConfig(**{name: value for name, value in settings.items() if name not in model})


def test_it_says_in_plain_words_that_it_is_synthetic(made):
    text = (made[1].data / "README.txt").read_text()
    assert "synthetic" in text and "random" in text and "mean nothing" in text


def test_the_same_seed_gives_the_same_bytes_over_an_earlier_demo_too(made):
    before = digests(made[0])
    (made[1].data / "audio" / "left-over.wav").touch()
    demo.make_demo(made[0])
    assert digests(made[0]) == before


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
