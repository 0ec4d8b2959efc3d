"""Small synthetic corpora and small random encoders, to see msmt work without any download.

Those in the layouts of public corpora are in ``layouts``; that in the MarketCalls layout is made here. It can be learnt
for a good reason: customers of different classes say different things, and say them differently (pitch, melody, rate,
effort, hesitation). Each sign overlaps with those of the neighbouring classes, and part of every call is small talk, so
it is not trivial.
"""

from __future__ import annotations

import csv
import io
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from ..errors import SettingError
from .layouts.checkpoints import write_care, write_openl3
from .layouts.encoders import vocabulary_of, write_encoders, write_vision
from .layouts.knowledge import write_conceptnet
from .layouts.registry import check_layout, write_layout
from .layouts.sentences import spoken, words
from .layouts.voices import TELEPHONE, Manner, speech

SAMPLE_RATE = TELEPHONE
RECORDINGS = {"train": 60, "val": 16, "test": 16}
MOST_SEGMENTS = 4  # of a recording
SHORTEST, LONGEST = 2.0, 6.0  # seconds of a segment
CLASSES = "ABCDE"

_MARK = "Made by msmt demo."  # in every folder and file of a demo, so that nothing else is overwritten

README = f"""{_MARK}

This corpus is synthetic and the encoders are random.

The sounds were computed from noise and pulses: nobody speaks in them. The sentences were drawn from short
lists of Mandarin, one for each of the classes A to E. The encoders, in the folder encoders of the demo, have the
architecture of HuBERT and BERT, but are tiny, and their weights are random numbers: they were never trained
on anything.

So scores on this corpus mean nothing, except that the commands work from the audio files to the score table.
They say nothing about real calls, about real encoders, or about the method.
"""

LAYOUT_README = f"""{_MARK}

This corpus is synthetic and the encoders are random. It lies as {{layout}} does after download, with some of the defects
that everybody finds there, and nothing of the real corpus is in it.

The sounds were computed from noise and pulses: nobody speaks in them. The sentences were drawn from short lists, by
emotion. The encoders, in the folder encoders of the demo, have the architecture of HuBERT, BERT, ViT, OpenL3 and CARE, but
all except OpenL3 are tiny, and their weights are random numbers: they were never trained on anything. What a file in the
format of ConceptNet says there of words was made up as well.

So scores on this corpus mean nothing, except that the commands work from the files as downloaded to the score table.
They say nothing about {{layout}}, about real encoders, or about any network.
"""

TRAINING = f"""# {_MARK} Sizes for a network that learns the demo's small corpus within a minute on two cores.
heads: 4
feed_forward: 128
complementary_layers: 2
gru_width: 32
head_width: 64
dropout: 0.0
context_dropout: 0.0
epochs: 40
patience: 15
learning_rate: 0.002
clip_norm: 0.5
batch_recordings: 8
accumulation: 1
"""


@dataclass(frozen=True)
class DemoPaths:
    """What a demo consists of."""

    data: Path
    """The corpus, in the MarketCalls layout."""

    audio_encoder: Path
    """Folder for ``--audio-encoder``."""

    text_encoder: Path
    """Folder for ``--text-encoder``."""

    config: Path
    """Options of ``msmt train`` that suit so small a corpus."""


AGENT = Manner(pitch=150, melody=2.5, rate=5.5, effort=0.5, hesitation=0.03)
CUSTOMERS = {
    "A": Manner(pitch=215, melody=5.0, rate=6.0, effort=0.65, hesitation=0.03),
    "B": Manner(pitch=175, melody=3.0, rate=4.8, effort=0.4, hesitation=0.12),
    "C": Manner(pitch=150, melody=1.5, rate=6.4, effort=0.55, hesitation=0.05),
    "D": Manner(pitch=195, melody=1.0, rate=5.2, effort=0.95, hesitation=0.02),
    "E": Manner(pitch=125, melody=1.8, rate=3.8, effort=0.15, hesitation=0.35),
}

AGENT_LINES = (
    "您好我是牙科诊所的客户经理",
    "这个月我们给新客户有优惠",
    "第一次检查是免费的",
    "我给您介绍一下都包括什么",
    "这门课程一共六个晚上",
    "我们的店就在火车站旁边",
    "我可以帮您登记一个时间",
    "您还有什么需要了解的吗",
)
SMALL_TALK = (
    "喂您好请讲",
    "请问您贵姓",
    "稍等一下",
    "对我听得见",
    "好",
    "哦这样啊",
)
CUSTOMER_LINES = {
    "A": (
        "好的太好了帮我报名吧",
        "好的这周我很想过去",
        "太好了什么时候可以开始",
        "好的我要了把地址发给我",
        "太好了我正想找这个",
    ),
    "B": (
        "可能吧再说详细一点",
        "可能先发点资料给我看看",
        "我考虑考虑多少钱",
        "可能下个月吧要问问我爱人",
        "考虑一下大概要多久",
    ),
    "C": (
        "我现在上班很忙",
        "很忙要多久快点说",
        "你们上周打过电话了很忙",
        "现在没空快点说吧",
        "快点直接说什么事",
    ),
    "D": (
        "不要别再打来了",
        "不需要把我的号码删掉",
        "别再打这个号码",
        "不要烦我别再打了",
        "绝对不需要再见",
    ),
    "E": (
        "呃你找哪位",
        "呃你打错号码了吧",
        "呃老板今天不在",
        "呃他好几年前就搬走了",
        "呃这里是学校的前台",
    ),
}
OPENINGS = ("好", "嗯", "喂", "对")  # of an answer, whatever its class
_TEXT_LAYERS = 4  # of the encoder beside a layout: systems read the last four
_OWN_LINE, _SMALL_TALK = 0.88, 0.25  # probabilities of a line of one's own class, and of a segment of small talk


def make_demo(folder: Path, seed: int = 0, layout: str = "") -> DemoPaths:
    """Write ``data/marketcalls``, ``encoders`` and ``demo.yaml`` into ``folder``; the same seed gives the same bytes.

    With a ``layout`` the corpus is in that one instead, in ``data/LAYOUT``. An earlier demo there is replaced. Raises
    SettingError when something else is in the way, and for a layout that there is none of.
    """
    if layout:
        check_layout(layout)
    folder = Path(folder)
    data, encoders, config = folder / "data" / (layout or "marketcalls"), folder / "encoders", folder / "demo.yaml"
    for path, marked in ((data, data / "README.txt"), (encoders, encoders / "README.txt"), (config, config)):
        if path.exists() and not (marked.is_file() and _MARK in marked.read_text(errors="replace")):
            raise SettingError(f"{path}: is there already and is not of a demo; choose another folder with --out")
    for path in (data, encoders):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        (path / "README.txt").write_text(LAYOUT_README.format(layout=layout) if layout else README)
    config.write_text(TRAINING)
    if layout:
        write_layout(layout, data, seed)
        write_encoders(encoders, vocabulary_of(spoken("zh"), words()), seed, _TEXT_LAYERS)
        # What the systems of the papers are given besides.
        write_vision(encoders, seed)
        write_openl3(encoders, seed)
        write_care(encoders, seed)
        write_conceptnet(encoders)
    else:
        write_encoders(encoders, vocabulary_of(_write_corpus(data, np.random.default_rng(seed))), seed)
    return DemoPaths(data, encoders / "audio", encoders / "text", config)


def _write_corpus(data: Path, random: np.random.Generator) -> list[str]:
    """Write csv files and audio; returns the transcripts."""
    (data / "audio").mkdir()
    texts, number = [], 0
    for split, count in RECORDINGS.items():
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("phone", "Audio_id", "Segment_number", "text", "label"))
        labels = [CLASSES[place % len(CLASSES)] for place in range(count)]
        for label in random.permutation(labels).tolist():
            number += 1
            phone = f"demo{number:03d}"
            segments = _recording(label, random)
            for place, (text, samples) in enumerate(segments, start=1):
                name = f"{phone}_{place:02d}.wav"
                soundfile.write(data / "audio" / name, samples, SAMPLE_RATE, subtype="PCM_16")
                writer.writerow((phone, name, place, text, label))
                texts.append(text)
        (data / f"{split}.csv").write_text(table.getvalue())
    return texts


def _recording(label: str, random: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    """Transcript and samples of each segment of one call."""
    agent, customer = _person(AGENT, random), _person(CUSTOMERS[label], random)
    noise = 10 ** random.uniform(-2.7, -2.0)  # of the line
    count = int(random.integers(1, MOST_SEGMENTS + 1))
    segments = []
    for place in range(1, count + 1):
        asked = str(random.choice(AGENT_LINES))
        answered = _answer(label, random, may_be_small_talk=place < count)
        pause = np.zeros(int(SAMPLE_RATE * random.uniform(0.1, 0.3)))
        sound = np.concatenate([speech(asked, agent, random), pause, speech(answered, customer, random)])
        length = int(np.clip(len(sound), SHORTEST * SAMPLE_RATE, LONGEST * SAMPLE_RATE))
        samples = np.zeros(length)
        samples[: len(sound)] = sound[:length]
        samples += noise * random.standard_normal(length)
        segments.append((f"客服：{asked} 顾客：{answered}", np.clip(samples, -1, 1)))
    return segments


def _answer(label: str, random: np.random.Generator, may_be_small_talk: bool) -> str:
    if may_be_small_talk and random.random() < _SMALL_TALK:
        return str(random.choice(SMALL_TALK))
    if random.random() > _OWN_LINE:
        place = CLASSES.index(label)
        label = str(random.choice([CLASSES[other] for other in (place - 1, place + 1) if 0 <= other < len(CLASSES)]))
    line = str(random.choice(CUSTOMER_LINES[label]))
    return f"{random.choice(OPENINGS)}{line}" if random.random() < 0.3 else line


def _person(manner: Manner, random: np.random.Generator) -> Manner:
    """One speaker of a manner: all values vary by about as much as neighbouring classes differ."""
    return Manner(
        pitch=manner.pitch * np.exp(random.normal(0, 0.08)),
        melody=manner.melody * np.exp(random.normal(0, 0.2)),
        rate=manner.rate * np.exp(random.normal(0, 0.1)),
        effort=float(np.clip(manner.effort + random.normal(0, 0.1), 0, 1)),
        hesitation=float(np.clip(manner.hesitation + random.normal(0, 0.03), 0, 1)),
    )
