"""Chinese characters replaced by others of the same sound, as speech recognition confuses them (MSMT-FN, section 3.2).

What replaces a character comes from the 8,105 characters of the Table of General Standard Chinese Characters
(通用规范汉字表, 2013), listed in ``characters.txt``. Readings are pypinyin's: a character's own is taken from its
context (行 in 银行 is not 行 in 行走), and what replaces it must have that reading as the usual one on its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_CHARACTERS = Path(__file__).with_name("characters.txt")
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_RUN = re.compile(f"[{_HAN}]+")

# Who speaks, or what a transcriber noted: not said, so it has no sound to confuse.
_ROLE = "客服|客户|顾客|用户|坐席|座席|销售|业务员|推销员|主叫|被叫|商家|买家|卖家|说话人|发言人|讲话人|角色"
_TAG = re.compile(
    r"[\[【<〈][^\[\]【】<>〈〉\n]{1,12}[\]】>〉]"  # [笑声], 【客服】
    r"|(?:^|(?<=[\s。！？!?；;…]))\w{1,6}\s?[:：]"  # 王先生：at the beginning of a line or of a sentence
    rf"|(?:{_ROLE})\s?[A-Za-z0-9一二三四五六七八九十]{{0,3}}\s?[:：]"  # 客服: where turns follow each other without a break
    r"|(?:说话人|发言人|讲话人)\s?[A-Za-z0-9]{1,3}",  # 说话人1 00:05
    re.MULTILINE,
)


def has_chinese(text: str) -> bool:
    """Whether a text holds a Chinese character."""
    return _RUN.search(text) is not None


def sources() -> dict:
    """Where characters and readings come from: they decide what replaces what."""
    return {
        "characters": "Table of General Standard Chinese Characters 2013",
        "readings": f"pypinyin {metadata.version('pypinyin')}",
    }


def with_homophones(text: str, rate: float, keep_tones: bool, generator: np.random.Generator) -> str:
    """``text`` with each Chinese character that has homophones replaced by one of them with a probability.

    A homophone has the same syllable, and the same tone if ``keep_tones``; all are equally likely. Speaker tags
    (``客服：``, ``A:``, ``[笑声]``), letters, digits and punctuation stay, and so does the number of characters.
    """
    characters = list(text)
    of_sound = homophones(keep_tones)
    draws = generator.random(len(characters))
    for place, reading in enumerate(readings_in_context(text)):
        if draws[place] < rate:
            others = [other for other in of_sound.get(_sound(reading, keep_tones), ()) if other != characters[place]]
            if others:
                characters[place] = others[int(generator.integers(len(others)))]
    return "".join(characters)


def readings_in_context(text: str) -> list[str]:
    """The reading of each character of a text, such as ``hang2``, the neutral tone as 5.

    It is empty where nothing is to be read aloud: for all but Chinese characters, and within speaker tags.
    """
    from pypinyin import Style, lazy_pinyin

    # Blanks keep what stands before a tag from being read together with what stands behind it.
    spoken = _TAG.sub(lambda tag: " " * len(tag[0]), text)
    readings = [""] * len(text)
    for run in _RUN.finditer(spoken):
        found = lazy_pinyin(run[0], Style.TONE3, lambda unknown: [""] * len(unknown), neutral_tone_with_five=True)
        assert len(found) == len(run[0]), run[0]
        readings[run.start() : run.end()] = found
    return readings


@cache
def homophones(keep_tones: bool) -> Mapping[str, tuple[str, ...]]:
    """Common characters by their usual reading on its own, such as ``shi4``, or ``shi`` for all tones."""
    from pypinyin import Style, pinyin

    of_sound: dict[str, list[str]] = {}
    for character in common_characters():
        ((reading,),) = pinyin(character, Style.TONE3, heteronym=False, neutral_tone_with_five=True)
        of_sound.setdefault(_sound(reading, keep_tones), []).append(character)
    return {sound: tuple(characters) for sound, characters in of_sound.items()}


@cache
def common_characters() -> str:
    """The 8,105 characters in common use, in the order of their table."""
    lines = _CHARACTERS.read_text(encoding="utf-8").splitlines()
    return "".join(line for line in lines if not line.startswith("#"))


def _sound(reading: str, keep_tones: bool) -> str:
    return reading if keep_tones else reading.rstrip("12345")
