"""A homophone sounds the same where it stands, and everything that is not said stays."""

from __future__ import annotations

import re

import numpy as np
import pytest
from msmt.extract.sound.homophones import (
    common_characters,
    has_chinese,
    homophones,
    readings_in_context,
    sources,
    with_homophones,
)
from pypinyin import Style, pinyin

TALK = (
    "您好，请问是王先生吗？我是银行的客户经理，想跟您介绍一下我们行最近推出的贷款产品，年利率百分之三点六，"
    "手续很简单，重要的是不用抵押。是这样的，我现在不需要贷款，谢谢你。那您方便加一下微信吗，以后有需要可以联系我。"
    "好吧，你把资料发给我看一看，长期的还是短期的，都发过来。没问题，我重新整理一份，下午四点之前发给您，再见。"
)


def replaced(text, rate=1.0, keep_tones=True, seed=0):
    return with_homophones(text, rate, keep_tones, np.random.default_rng(seed))


def usual_reading(character):
    return pinyin(character, Style.TONE3, neutral_tone_with_five=True)[0][0]


class TestReplacement:
    @pytest.mark.parametrize("keep_tones", [True, False])
    def test_every_replacement_sounds_as_the_character_does_in_its_place(self, keep_tones):
        compared = 0
        for seed in range(20):
            result = replaced(TALK, 0.5, keep_tones, seed)
            assert len(result) == len(TALK)
            for before, after, reading in zip(TALK, result, readings_in_context(TALK), strict=True):
                if before == after:
                    continue
                compared += 1
                assert after in common_characters() and reading
                if keep_tones:
                    assert usual_reading(after) == reading
                else:
                    assert usual_reading(after)[:-1] == reading[:-1]
        assert compared > 500

    def test_context_decides_how_a_character_is_read(self):
        # 行: hang2 in a bank, xing2 in walking; 重: chong2 anew, zhong4 in weight; 长: zhang3 growing, chang2 in length.
        for text, place, reading in (
            ("银行", 1, "hang2"),
            ("行走", 0, "xing2"),
            ("重新", 0, "chong2"),
            ("重量", 0, "zhong4"),
            ("成长", 1, "zhang3"),
            ("长度", 0, "chang2"),
        ):
            assert readings_in_context(text)[place] == reading
            for seed in range(10):
                assert usual_reading(replaced(text, seed=seed)[place]) == reading

    def test_ignoring_tones_gives_characters_of_other_tones_too(self):
        tones = {usual_reading(replaced("是", keep_tones=False, seed=seed))[-1] for seed in range(80)}
        assert {"1", "2", "3", "4"} <= tones
        assert {usual_reading(replaced("是", seed=seed)) for seed in range(80)} == {"shi4"}

    @pytest.mark.parametrize("rate", [0.02, 0.1, 0.5])
    @pytest.mark.parametrize("keep_tones", [True, False])
    def test_the_rate_holds_on_a_long_text(self, rate, keep_tones):
        text = TALK * 200
        at_all = sum(a != b for a, b in zip(text, replaced(text, 1.0, keep_tones), strict=True))
        count = sum(a != b for a, b in zip(text, replaced(text, rate, keep_tones), strict=True))
        assert at_all > 0.6 * len(text)
        assert abs(count / at_all - rate) < 4 * np.sqrt(rate * (1 - rate) / at_all)

    def test_at_a_rate_of_one_all_that_have_homophones_are_replaced(self):
        of_sound = homophones(True)
        for before, after, reading in zip(TALK, replaced(TALK), readings_in_context(TALK), strict=True):
            has_others = bool(set(of_sound.get(reading, ())) - {before})
            assert (before != after) == has_others

    def test_all_homophones_are_equally_likely(self):
        others = [character for character in homophones(True)["qing2"] if character != "情"]
        result = replaced("情" * 3000)
        counts = [result.count(character) for character in others]
        assert sum(counts) == 3000 and min(counts) > 0.7 * 3000 / len(others)

    def test_a_character_without_homophones_stays(self):
        # The only common characters of their syllables.
        assert replaced("能给您", keep_tones=False) == "能给您"

    def test_a_character_out_of_common_use_is_replaced_by_one_in_common_use(self):
        result = replaced("國語說話")
        assert len(result) == 4 and set(result) <= set(common_characters())

    def test_the_same_draws_give_the_same_text(self):
        assert replaced(TALK, 0.3, seed=1) == replaced(TALK, 0.3, seed=1) != replaced(TALK, 0.3, seed=2)


class TestWhatIsNotSaid:
    @pytest.mark.parametrize(
        ("text", "stays"),
        [
            ("客服:您好。顾客:时间不行", ["客服:", "顾客:"]),
            ("客服：您好客户：时间不行", ["客服：", "客户：", "客户"]),
            ("客服 1 : 时间\n坐席2：时间", ["客服 1 :", "坐席2："]),
            ("王先生：时间\n李小姐: 时间", ["王先生：", "李小姐:"]),
            ("A: 时间 B：时间 agent: 时间", ["A:", "B：", "agent:"]),
            ("[笑声]时间【背景音乐】时间<静音>时间", ["[笑声]", "【背景音乐】", "<静音>"]),
            ("说话人1 00:05 时间 发言人B 时间", ["说话人1 00:05", "发言人B"]),
        ],
    )
    def test_speaker_tags_and_notes_stay(self, text, stays):
        for seed in range(20):
            result = replaced(text, seed=seed)
            assert len(result) == len(text)
            for tag in stays:
                assert text.index(tag) == result.index(tag)
            assert "时间" not in result

    def test_letters_digits_punctuation_and_blanks_stay(self):
        text = "ＡＢ我的iPhone 15 Pro，花了8999.50元（9折）——“OK”！\t〇😀é"
        result = replaced(text)
        assert re.sub("[\u4e00-\u9fff]", "", result) == re.sub("[\u4e00-\u9fff]", "", text)
        assert result != text

    @pytest.mark.parametrize("text", ["", "customer: hi agent: hello, 14:06!", "こんにちは", "１２３：？"])
    def test_text_without_chinese_stays(self, text):
        assert replaced(text) == text and not has_chinese(text)

    def test_a_tag_does_not_lend_its_context(self):
        # 还行 is read hai2 xing2, whoever speaks; 银 must not make it a bank when a tag stands between.
        assert readings_in_context("银[笑声]行走")[-2] == "xing2"

    def test_a_time_or_a_clause_before_a_colon_is_read(self):
        assert readings_in_context("好的，我告诉你一件事情：价格不变")[4] == "gao4"


class TestCharacters:
    def test_the_table_holds_8105_characters_once_each(self):
        characters = common_characters()
        assert len(characters) == len(set(characters)) == 8105
        assert characters[:3] == "一乙二" and all(has_chinese(character) for character in characters)
        assert characters[3499] == "矗" and characters[6499] == "齉" and characters[-1] == "蠼"

    def test_each_has_one_usual_reading(self):
        for keep_tones in (True, False):
            groups = homophones(keep_tones)
            assert sum(map(len, groups.values())) == 8105
            assert all(re.fullmatch("[a-z]+[1-5]" if keep_tones else "[a-z]+", sound) for sound in groups)

    def test_where_readings_come_from_is_told(self):
        assert sources()["readings"].startswith("pypinyin 0.")
