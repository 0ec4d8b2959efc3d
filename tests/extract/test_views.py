"""Views are altered as much as asked, always the same way, and what makes no sense is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from msmt.errors import SettingError
from msmt.extract.sound.views import ViewOptions, alter_audio, alter_text, check_text, generator_for, kind_of, recipe_of
from msmt.tests.extract.made import speech_like

RATE = 8000


def altered(view, samples, segment="s1", rate=RATE, **options):
    recipe = recipe_of(view, ViewOptions(augment=kind_of(view), **options))
    return alter_audio(samples, rate, recipe, generator_for(recipe, segment, view))


def tone(seconds, rate=RATE, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def pitch_of(samples, rate=RATE):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))
    return np.argmax(spectrum) * rate / (1 << 18)


def runs_of_zeros(samples):
    edges = np.flatnonzero(np.diff(np.pad((samples == 0).astype(int), 1)))
    return edges.reshape(-1, 2)


class TestOptions:
    def test_views_are_named_by_kind_and_copy(self):
        assert ViewOptions().views == ()
        assert ViewOptions(augment="noise, homophone", copies=2).views == (
            "noise",
            "noise-2",
            "homophone",
            "homophone-2",
        )
        assert ViewOptions(augment="mask", augment_classes="A, B").classes == ("A", "B")

    def test_a_name_tells_its_kind(self):
        assert kind_of("noise") == "noise" and kind_of("homophone-12") == "homophone"
        for name in ("original", "noise-1", "noise-0", "noise-02", "noise-", "noisy", ""):
            with pytest.raises(SettingError, match="there is no view"):
                kind_of(name)

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (
                {"augment": "noise,reverb"},
                "augment must name views of noise, speed, mask, homophone, but names 'reverb'",
            ),
            ({"augment": "original"}, "but names 'original'"),
            ({"augment": "noise,"}, "names separated by commas"),
            ({"augment": "noise,mask,noise"}, "names 'noise' 2 times"),
            ({"augment_classes": "A,,B"}, "augment classes must be names separated by commas"),
            ({"copies": 0}, "copies must be at least 1, but is 0"),
            ({"seed": -1}, "seed must be at least 0, but is -1"),
            ({"noise_db": "40:10"}, "noise db must go from low to high, but is '40:10': write 10:40"),
            ({"noise_db": ""}, "noise db must be a range such as 10:40, but is ''"),
            ({"noise_db": ":"}, "must be a range"),
            ({"noise_db": "1:2:3"}, "must be a range"),
            ({"noise_db": "nan:20"}, "must lie between -60 and 120"),
            ({"speed_range": "1.1:0.9"}, "speed range must go from low to high"),
            ({"speed_range": "0:1"}, "speed range must lie between 0.25 and 4, but is '0:1'"),
            ({"mask_share": 0.0}, "mask share must be above 0 and below 1, but is 0.0"),
            ({"mask_share": 1.0}, "mask share must be above 0 and below 1, but is 1.0"),
            ({"mask_share": float("nan")}, "mask share"),
            ({"mask_pieces": 0}, "mask pieces must be at least 1, but is 0"),
            ({"homophone_rate": 1.5}, "homophone rate must be above 0 and at most 1, but is 1.5"),
            ({"homophone_tones": "lose"}, "homophone tones must be keep or ignore, but is 'lose'"),
        ],
    )
    def test_what_makes_no_sense_is_refused_in_one_line(self, options, reason):
        with pytest.raises(SettingError, match=reason) as caught:
            ViewOptions(**options)
        assert "\n" not in str(caught.value)

    def test_the_settings_and_recipes_need_no_heavy_import(self):
        program = (
            "import sys; from msmt.extract.sound.views import ViewOptions, recipe_of;"
            "options = ViewOptions(augment='noise,speed,mask,homophone');"
            "[recipe_of(view, options) for view in options.views];"
            "sys.exit(str({'numpy', 'torch', 'torchaudio', 'pandas', 'pypinyin'} & set(sys.modules) or ''))"
        )
        assert subprocess.run([sys.executable, "-c", program], capture_output=True).stderr.strip() == b""


class TestRecipes:
    def test_a_recipe_holds_only_what_decides_its_view(self):
        other = {"noise_db": "0:5", "mask_share": 0.2, "homophone_rate": 0.3, "copies": 3, "augment_classes": "A"}
        assert recipe_of("speed", ViewOptions()) == recipe_of("speed", ViewOptions(**other))
        for view, change in (
            ("noise", {"noise_db": "0:5"}),
            ("speed", {"speed_range": "0.8:1"}),
            ("mask", {"mask_pieces": 2}),
            ("mask", {"mask_share": 0.2}),
            ("homophone", {"homophone_rate": 0.3}),
            ("homophone", {"homophone_tones": "ignore"}),
            ("noise", {"seed": 1}),
        ):
            assert recipe_of(view, ViewOptions()) != recipe_of(view, ViewOptions(**change))

    @pytest.mark.parametrize("view", ["noise", "speed", "mask", "homophone"])
    def test_a_recipe_survives_json_and_still_makes_the_same(self, view):
        recipe = recipe_of(view, ViewOptions())
        copy = json.loads(json.dumps(recipe))
        assert copy == recipe
        if view == "homophone":
            text = "我们今天说一说这个价格" * 9
            assert alter_text(text, recipe, generator_for(recipe, "s", view)) == alter_text(
                text, copy, generator_for(copy, "s", view)
            )
        else:
            samples = speech_like(1.0)
            first = alter_audio(samples, RATE, recipe, generator_for(recipe, "s", view))
            assert np.array_equal(first, alter_audio(samples, RATE, copy, generator_for(copy, "s", view)))

    def test_what_is_drawn_depends_on_segment_view_and_seed_alone(self):
        samples = speech_like(1.0)
        assert np.array_equal(altered("noise", samples), altered("noise", samples))
        for other in (
            altered("noise", samples, segment="s2"),
            altered("noise-2", samples),
            altered("noise", samples, seed=1),
        ):
            assert not np.array_equal(altered("noise", samples), other)

    def test_a_kind_is_not_asked_for_what_it_does_not_alter(self):
        with pytest.raises(ValueError, match="homophone does not alter audio"):
            altered("homophone", speech_like(0.1))
        recipe = recipe_of("mask", ViewOptions())
        with pytest.raises(ValueError, match="mask does not alter text"):
            alter_text("好", recipe, generator_for(recipe, "s", "mask"))

    @pytest.mark.parametrize("view", ["noise", "speed", "mask"])
    def test_the_original_is_left_alone(self, view):
        samples = speech_like(1.0)
        samples.flags.writeable = False
        result = altered(view, samples)
        assert result.dtype == np.float32 and result.flags.c_contiguous
        assert not np.array_equal(result, samples)


class TestNoise:
    @pytest.mark.parametrize("decibels", [-5, 0, 10, 25, 40])
    @pytest.mark.parametrize("seconds", [0.05, 1.0, 5.0])
    def test_it_hits_its_ratio(self, decibels, seconds):
        samples = speech_like(seconds)
        noise = altered("noise", samples, noise_db=f"{decibels}:{decibels}").astype(np.float64) - samples
        ratio = 10 * np.log10(np.mean(samples.astype(np.float64) ** 2) / np.mean(noise**2))
        assert abs(ratio - decibels) < 0.5

    def test_ratios_fill_the_range(self):
        samples = speech_like(0.5)
        ratios = []
        for number in range(300):
            noise = altered("noise", samples, segment=f"s{number}").astype(np.float64) - samples
            ratios.append(10 * np.log10(np.mean(samples.astype(np.float64) ** 2) / np.mean(noise**2)))
        assert 9.5 < min(ratios) < 12 and 38 < max(ratios) < 40.5
        assert abs(np.mean(ratios) - 25) < 2

    def test_it_is_gaussian_and_white(self):
        samples = speech_like(20.0)
        noise = altered("noise", samples, noise_db="0:0").astype(np.float64) - samples
        noise /= noise.std()
        assert abs(noise.mean()) < 0.02 and abs(np.mean(noise**4) - 3) < 0.1
        assert abs(np.mean(noise[1:] * noise[:-1])) < 0.02

    @pytest.mark.parametrize("level", [0.0, 0.25, 1e-30])
    def test_digital_silence_gives_numbers(self, level):
        assert np.isfinite(altered("noise", np.full(800, level, np.float32))).all()


class TestSpeed:
    @pytest.mark.parametrize("factor", [0.5, 0.9, 0.97, 1.0, 1.0317, 1.1, 2.0])
    @pytest.mark.parametrize(("seconds", "rate"), [(0.05, 8000), (1.0, 8000), (3.0, 16_000)])
    def test_the_length_is_divided_by_the_factor_and_a_tone_keeps_its_pitch(self, factor, seconds, rate):
        result = altered("speed", tone(seconds, rate), rate=rate, speed_range=f"{factor}:{factor}")
        assert len(result) == round(seconds * rate / factor)
        assert abs(pitch_of(result, rate) / 440 - 1) < 0.01
        assert np.isfinite(result).all()

    @pytest.mark.parametrize("factor", [0.9, 1.1])
    def test_level_and_timing_stay(self, factor):
        samples = np.concatenate([tone(1.0), 0 * tone(1.0), 0.2 * tone(1.0)])
        result = altered("speed", samples, speed_range=f"{factor}:{factor}")
        for start, stop, level in ((0.1, 0.9, 0.5), (1.1, 1.9, 0.0), (2.1, 2.9, 0.1)):
            part = result[round(start * RATE / factor) : round(stop * RATE / factor)]
            assert abs(np.sqrt(2 * np.mean(part**2)) - level) < 0.02

    @pytest.mark.parametrize("factor", [0.9, 1.1])
    def test_speech_stays_as_loud(self, factor):
        samples = speech_like(2.0)
        result = altered("speed", samples, speed_range=f"{factor}:{factor}")
        assert np.mean(result**2) == pytest.approx(np.mean(samples**2), rel=1e-3)

    def test_factors_fill_the_range(self):
        samples = speech_like(0.5)
        factors = [len(samples) / len(altered("speed", samples, segment=f"s{number}")) for number in range(200)]
        assert 0.899 < min(factors) < 0.91 and 1.09 < max(factors) < 1.101

    @pytest.mark.parametrize("count", [1, 2, 7, 50, 400])
    def test_however_short_a_segment_is_it_works(self, count):
        for factor in (0.9, 1.1):
            result = altered("speed", speech_like(1.0)[:count], speed_range=f"{factor}:{factor}")
            assert len(result) == max(1, round(count / factor)) and np.isfinite(result).all()

    def test_the_number_of_threads_changes_nothing(self):
        samples, threads, results = speech_like(10.0), torch.get_num_threads(), []
        try:
            for count in (1, 2, 3):
                torch.set_num_threads(count)
                results.append(altered("speed", samples))
        finally:
            torch.set_num_threads(threads)
        assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


class TestMask:
    @pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
    @pytest.mark.parametrize("most", [1, 5])
    def test_it_covers_its_share_in_up_to_so_many_pieces(self, share, most):
        counts = set()
        for number in range(40):
            samples = np.ones(4001, np.float32)
            result = altered("mask", samples, segment=f"s{number}", mask_share=share, mask_pieces=most)
            runs = runs_of_zeros(result)
            assert abs((result == 0).sum() - share * 4001) <= 1
            assert 1 <= len(runs) <= most and set(result) == {0, 1}
            counts.add(len(runs))
        assert counts == set(range(1, most + 1))

    def test_pieces_lie_anywhere(self):
        covered = sum(
            altered("mask", np.ones(500, np.float32), segment=f"s{number}", mask_pieces=1) == 0 for number in range(800)
        )
        assert covered[0] > 0 and covered[-1] > 0
        middle = covered[100:400] / 800
        assert abs(middle.mean() - 0.1) < 0.02 and middle.min() > 0.04

    def test_what_is_not_masked_stays(self):
        samples = speech_like(1.0)
        result = altered("mask", samples)
        assert np.array_equal(result[result != 0], samples[result != 0])

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 11])
    def test_however_short_a_segment_is_it_works(self, count):
        for share in (0.1, 0.5, 0.99):
            for number in range(20):
                samples = np.ones(count, np.float32)
                result = altered("mask", samples, segment=f"s{number}", mask_share=share)
                assert (result == 0).sum() == round(share * count)


class TestText:
    def test_homophones_are_only_for_chinese(self):
        check_text(["hello", "你好"])
        for texts in (["hello", "123"], []):
            with pytest.raises(SettingError, match="homophones are available only for Chinese text yet") as caught:
                check_text(texts)
            assert "\n" not in str(caught.value)

    def test_the_rate_and_the_tones_of_the_options_count(self):
        text = "今天介绍一件新产品，价格优惠" * 40
        recipe = recipe_of("homophone", ViewOptions(homophone_rate=0.02))
        few = alter_text(text, recipe, generator_for(recipe, "s", "homophone"))
        recipe = recipe_of("homophone", ViewOptions(homophone_rate=0.9))
        many = alter_text(text, recipe, generator_for(recipe, "s", "homophone"))
        assert 0 < sum(a != b for a, b in zip(text, few)) < 0.1 * len(text)
        assert sum(a != b for a, b in zip(text, many)) > 0.6 * len(text)
