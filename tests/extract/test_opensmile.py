"""openSMILE's features are those of its own interface, of the samples that all features of the audio are made of."""

from __future__ import annotations

import builtins
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import opensmile
import pytest
import torch
from msmt.errors import AudioError, EncoderError, SettingError
from msmt.extract.config import ExtractConfig
from msmt.extract.extractors.contract import Setup
from msmt.extract.extractors.opensmile import LICENCE, OpenSmile, OpenSmileOptions
from msmt.extract.loaders import Loaders, loaders_for
from msmt.extract.making import made_extractors
from msmt.extract.sound.smile import shipped_set
from msmt.extract.sound.views import ViewOptions, recipe_of
from msmt.tests.extract.made import speech_like
from msmt.tests.extract.test_mel import loaded, material_of

SETUP = Setup(torch.device("cpu"))
RATE = 16_000
TONE = speech_like(1.0, RATE)
SHIPPED = {
    "ComParE_2016": (6373, 65),
    "GeMAPSv01a": (62, 18),
    "GeMAPSv01b": (62, 18),
    "eGeMAPSv01a": (88, 23),
    "eGeMAPSv01b": (88, 23),
    "eGeMAPSv02": (88, 25),
    "emobase": (988, 26),
    "IS09": (384, 16),
    "IS10": (1582, 38),
    "IS11": (4368, 59),
    "IS12": (6125, 64),
    "IS13": (6373, 65),
}

FRAMES = """
[componentInstances:cComponentManager]
instance[cutter].type = cFramer
instance[loudness].type = cEnergy
[cutter:cFramer]
reader.dmLevel = wave
writer.dmLevel = pieces
frameSize = 0.03
frameStep = 0.02
[loudness:cEnergy]
reader.dmLevel = pieces
writer.dmLevel = lld
rms = 1
log = 1
"""
SUMMARY = """
[componentInstances:cComponentManager]
instance[whole].type = cFunctionals
[whole:cFunctionals]
reader.dmLevel = lld
writer.dmLevel = func
frameMode = full
frameSize = 0
frameStep = 0
functionalsEnabled = Extremes;Means
Extremes.max = 1
Extremes.min = 1
Means.amean = 1
"""
MEMORY = "[componentInstances:cComponentManager]\ninstance[dataMemory].type = cDataMemory\n"
OF_PACKAGE = (
    MEMORY + "\\{\\cm[source{?}:where samples come from]}\n" + FRAMES + SUMMARY + "\\{\\cm[sink{?}:where values go]}\n"
)
OF_COMMAND_LINE = (
    MEMORY
    + "; instance[other].type = cWaveSource\n"
    + "instance[waveIn].type = cWaveSource\ninstance[table].type = cCsvSink\n"
    + "[waveIn:cWaveSource]\nwriter.dmLevel = wave\nmonoMixdown = 1\n"
    + "filename = \\cm[inputfile(I){test.wav}:which file]\n"
    + FRAMES
    + "\\{summary.conf.inc}\n"
    + "/* said of the table\n[nothing:cNothing] */\n"
    + "[table:cCsvSink]\nreader.dmLevel = func\nfilename = \\cm[output(O){out.csv}:which file]\n"
)


def made(extractor, material, row=0) -> np.ndarray:
    return next(iter(extractor.encode([loaded(extractor, material, row)])[0].values())).numpy()


def by_its_own_interface(samples, feature_set, level) -> np.ndarray:
    smile = opensmile.Smile(feature_set, level, loglevel=0)
    return smile.process_signal(samples, RATE).to_numpy()


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return material_of(tmp_path_factory.mktemp("sounds"), TONE, speech_like(2.3, RATE, seed=1), TONE[:160])


def test_every_set_that_the_package_ships_is_known():
    assert {shipped_set(name) for name in opensmile.FeatureSet.__members__} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_set_gives_functionals_and_descriptors(name, sounds):
    functionals, descriptors = SHIPPED[name]
    whole = OpenSmile.load("whole", OpenSmileOptions(set=name), SETUP)
    frames = OpenSmile.load("frames", OpenSmileOptions(set=name, level="lld"), SETUP)
    assert (whole.spec.unit, whole.spec.width, whole.spec.max_rows) == ("vector", functionals, 1)
    assert (frames.spec.unit, frames.spec.width) == ("frame", descriptors)
    assert whole.spec.dtype == frames.spec.dtype == "float32"
    assert made(whole, sounds).shape == (1, functionals) and len(whole.columns) == functionals
    values = made(frames, sounds, row=1)
    assert values.shape == (frames.expected_rows(sounds)["frames"][1], descriptors)
    assert 210 <= len(values) <= 230 and np.isfinite(values).all()


@pytest.mark.parametrize(
    ("name", "level", "own"),
    [
        ("eGeMAPSv02", "functionals", "Functionals"),
        ("ComParE_2016", "functionals", "Functionals"),
        ("eGeMAPSv02", "lld", "LowLevelDescriptors"),
        ("emobase", "deltas", "LowLevelDescriptors_Deltas"),
    ],
)
def test_values_are_those_of_its_own_interface(name, level, own, sounds):
    extractor = OpenSmile.load("made", OpenSmileOptions(set=name, level=level), SETUP)
    expected = by_its_own_interface(TONE, opensmile.FeatureSet[name], opensmile.FeatureLevel[own])
    values = made(extractor, sounds)
    assert values.dtype == np.float32 and np.array_equal(values, expected)


def test_the_longest_input_gives_no_more_rows_than_the_spec_says(tmp_path):
    extractor = OpenSmile.load("made", OpenSmileOptions(set="IS09", level="lld", seconds=3.0), SETUP)
    material = material_of(tmp_path, speech_like(5.0, RATE), speech_like(3.0, RATE))
    assert loaded(extractor, material).is_cut and extractor.cut_rows(material).tolist() == [True, False]
    assert len(made(extractor, material)) == len(made(extractor, material, 1)) == extractor.spec.max_rows
    assert extractor.expected_rows(material)["made"].tolist() == [extractor.spec.max_rows] * 2
    longer = OpenSmile.load("made", OpenSmileOptions(set="IS09", level="lld", seconds=60.0), SETUP)
    assert longer.spec.max_rows == 5999


def test_samples_at_full_scale_do_not_wrap(tmp_path):
    loud = np.clip(4 * TONE, -1, 1)
    loud[TONE.argmax()] = 1.0
    material = material_of(tmp_path, loud, np.clip(loud, -1, 32767 / 32768), 4 * TONE)
    for level in ("functionals", "lld"):
        extractor = OpenSmile.load("made", OpenSmileOptions(set="emobase", level=level), SETUP)
        clipped, expected, beyond = (made(extractor, material, row) for row in range(3))
        assert (loud == 1).any() and np.array_equal(clipped, expected) and np.array_equal(beyond, expected)


def test_the_level_is_that_of_the_recording(tmp_path):
    extractor = OpenSmile.load("made", OpenSmileOptions(), SETUP)
    loud, faint = (made(extractor, material_of(tmp_path, TONE, TONE / 8), row)[0] for row in (0, 1))
    level = extractor.columns.index("equivalentSoundLevel_dBp")
    assert abs(loud[level] - faint[level] - 20 * np.log10(8)) < 0.1
    assert extractor.spec.normalisation == "none: samples at the recording's own level"


def test_a_channel_is_heard_alone(tmp_path):
    other = speech_like(1.0, RATE, seed=1)
    material = material_of(tmp_path, np.stack([TONE, other], 1), TONE, other, (TONE + other) / 2)
    plain = OpenSmile.load("", OpenSmileOptions(), SETUP)
    for channel, name, row in (
        ("0", "eGeMAPSv02-channel0", 1),
        ("1", "eGeMAPSv02-channel1", 2),
        ("mean", "eGeMAPSv02", 3),
    ):
        extractor = OpenSmile.load("", OpenSmileOptions(channel=channel), SETUP)
        assert list(extractor.specs) == [name]
        assert np.allclose(made(extractor, material), made(plain, material, row), rtol=1e-2, atol=1e-2)
    assert not np.allclose(made(plain, material, 1), made(plain, material, 2), rtol=1e-2, atol=1e-2)


def test_views_are_rows_of_their_own(sounds):
    recipe = recipe_of("speed", ViewOptions(augment="speed", speed_range="1.1:1.1"))
    setup = Setup(torch.device("cpu"), recipes={"speed": recipe})
    extractor = OpenSmile.load("made", OpenSmileOptions(set="IS09", level="lld"), setup)
    table = sounds.table.iloc[[1, 1]].assign(view=["original", "speed"])
    both = type(sounds)(sounds.root, table, sounds.digest_of)
    assert len(set(extractor.identities(both)["made"].tolist())) == 2
    assert len(made(extractor, both, 0)) == 229 and 207 <= len(made(extractor, both, 1)) <= 209


@pytest.mark.filterwarnings("ignore:Segment too short")
@pytest.mark.parametrize("level", ["functionals", "lld"])
def test_a_segment_too_short_for_any_frame_is_a_failure(level, sounds):
    got = loaded(OpenSmile.load("made", OpenSmileOptions(level=level), SETUP), sounds, row=2)
    assert isinstance(got, AudioError)
    assert str(got) == "is too short: openSMILE makes nothing of 160 samples at 16000 Hz (eGeMAPSv02)"


def test_another_rate_is_heard_at_that_rate(sounds):
    extractor = OpenSmile.load("made", OpenSmileOptions(set="IS09", rate=8000), SETUP)
    assert extractor.spec.sample_rate == 8000 and extractor.spec.max_samples == 320_000
    assert made(extractor, sounds).shape == (1, 384)


def test_results_do_not_depend_on_how_many_load_at_once(sounds):
    extractor = OpenSmile.load("made", OpenSmileOptions(set="ComParE_2016"), SETUP)
    jobs = [extractor.job(sounds, row) for row in (0, 1)] * 3
    alone = [function(*arguments).content for function, arguments in jobs]
    with ThreadPoolExecutor(4) as threads, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        for pool in (threads, processes):
            together = [pool.submit(function, *arguments) for function, arguments in jobs]
            assert all(np.array_equal(each.result().content, one) for each, one in zip(together, alone, strict=True))


def test_every_core_loads_because_loading_is_all_the_work(monkeypatch):
    extractor = OpenSmile.load("made", OpenSmileOptions(), SETUP)
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    assert loaders_for(ExtractConfig(), extractor) == Loaders(7, are_processes=False)
    assert loaders_for(ExtractConfig(workers=3), extractor) == Loaders(3, are_processes=True)


def test_a_spec_says_all_that_decides_the_values():
    spec = OpenSmile.load("made", OpenSmileOptions(set="GeMAPS", level="lld"), SETUP).spec
    assert spec.options == {"set": "GeMAPSv01a", "level": "lld"}
    assert spec.encoder_class == f"openSMILE {opensmile.__version__}"
    assert (spec.kind, spec.modality, spec.sample_rate) == ("opensmile", "audio", RATE)
    others = (OpenSmileOptions(set="GeMAPSv01b", level="lld"), OpenSmileOptions(set="GeMAPS"))
    assert spec.fingerprint not in {OpenSmile.load("made", each, SETUP).spec.fingerprint for each in others}


def test_the_licence_is_named():
    assert LICENCE in OpenSmile.load("made", OpenSmileOptions(), SETUP).remarks
    assert "research" in LICENCE


def test_the_licence_is_named_once_for_several_features():
    config = ExtractConfig(feature=("whole=opensmile", "frames=opensmile:level=lld"))
    assert made_extractors(config, Path("nowhere.zarr")).remarks == (LICENCE,)


def written(folder: Path, text: str, name: str = "own.conf") -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / "summary.conf.inc").write_text(SUMMARY)
    return str(folder / name)


@pytest.mark.parametrize("text", [OF_PACKAGE, OF_COMMAND_LINE], ids=["of the package", "of the command line"])
def test_a_configuration_of_ones_own_gives_its_values(text, tmp_path, sounds, monkeypatch):
    conf = written(tmp_path / "conf", text)
    working = tmp_path / "working"
    working.mkdir()
    monkeypatch.chdir(working)
    whole = OpenSmile.load("", OpenSmileOptions(conf=conf), SETUP)
    frames = OpenSmile.load("", OpenSmileOptions(conf=conf, level="lld"), SETUP)
    assert list(whole.specs) == ["own"] and list(frames.specs) == ["own-lld"]
    assert frames.columns == ["pcm_RMSenergy", "pcm_LOGenergy"] and whole.spec.width == len(whole.columns) == 30
    values, rows = made(whole, sounds)[0], made(frames, sounds)
    assert rows.shape == (frames.expected_rows(sounds)["own-lld"][0], 2)
    heard = (TONE * 32768).astype(np.int16) / 32768
    expected = [np.sqrt(np.mean(heard[start : start + 480] ** 2)) for start in range(0, len(heard) - 479, 320)]
    assert np.allclose(rows[: len(expected), 0], expected, rtol=1e-3)
    assert np.isclose(values[whole.columns.index("pcm_RMSenergy_amean")], rows[:, 0].mean(), rtol=1e-4)
    assert not list(working.iterdir())  # its sinks have written nothing


def test_both_ways_of_writing_a_configuration_give_the_same(tmp_path, sounds):
    of_package, of_command_line = (
        OpenSmile.load("own", OpenSmileOptions(conf=written(tmp_path / str(number), text)), SETUP)
        for number, text in enumerate((OF_PACKAGE, OF_COMMAND_LINE))
    )
    assert np.array_equal(made(of_package, sounds), made(of_command_line, sounds))


def test_values_of_a_configuration_are_those_of_the_interface(tmp_path, sounds):
    conf = written(tmp_path, OF_PACKAGE)
    extractor = OpenSmile.load("own", OpenSmileOptions(conf=conf), SETUP)
    assert np.array_equal(made(extractor, sounds), by_its_own_interface(TONE, conf, "func"))


def test_a_level_of_ones_own_is_read(tmp_path, sounds):
    conf = written(tmp_path, OF_PACKAGE.replace("= lld", "= energies"))
    extractor = OpenSmile.load("own", OpenSmileOptions(conf=conf, level="lld", conf_level="energies"), SETUP)
    assert made(extractor, sounds).shape[1] == 2


def test_rows_are_stale_when_what_a_configuration_says_changes_and_not_when_it_moves(tmp_path, sounds):
    def identities(folder, text, included=SUMMARY):
        conf = written(tmp_path / folder, text)
        (tmp_path / folder / "summary.conf.inc").write_text(included)
        return OpenSmile.load("own", OpenSmileOptions(conf=conf), SETUP).identities(sounds)["own"].tolist()

    first = identities("a", OF_COMMAND_LINE)
    assert identities("b", OF_COMMAND_LINE) == first
    assert identities("c", "// a remark\n" + OF_COMMAND_LINE) == first
    assert not set(identities("d", OF_COMMAND_LINE.replace("0.03", "0.04"))) & set(first)
    assert not set(identities("e", OF_COMMAND_LINE, SUMMARY.replace("amean = 1", "absmean = 1"))) & set(first)


def test_the_shared_files_of_the_package_may_be_included(tmp_path, sounds):
    text = MEMORY + "\\{../shared/standard_wave_input.conf.inc}\n" + FRAMES
    buffered = text.replace(
        "writer.dmLevel = lld", "writer.dmLevel = lld\n\\{\\cm[bufferModeConf{../shared/BufferMode.conf.inc}:how]}"
    )
    conf = written(tmp_path, buffered + SUMMARY + "\\{../shared/standard_data_output.conf.inc}\n")
    extractor = OpenSmile.load("own", OpenSmileOptions(conf=conf), SETUP)
    assert made(extractor, sounds).shape == (1, 30)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no source of samples: a cWaveSource"),
        (MEMORY + FRAMES, "has no source of samples"),
        (OF_PACKAGE.replace("cEnergy", "cNoSuchThing"), "openSMILE cannot use it .*unknown component type"),
        (OF_PACKAGE.replace("writer.dmLevel = func", "writer.dmLevel = other"), "openSMILE cannot use it .*'func'"),
        (
            OF_PACKAGE.replace("frameMode = full", "frameMode = fixed")
            .replace("frameSize = 0\n", "frameSize = 0.5\n")
            .replace("frameStep = 0\n", "frameStep = 0.5\n"),
            "makes .* rows, so it is no vector of functionals: use level lld",
        ),
        (OF_COMMAND_LINE.replace("dmLevel = wave", "dmLevel = sound"), "must write the level wave, but writes sound"),
        (MEMORY + "\\{missing.conf.inc}\n", "includes missing.conf.inc, and there is no such file"),
        (MEMORY + "\\{own.conf}\n", "one of them includes itself"),
        (MEMORY + "\\{\\cm[parts]}\n", "includes what its option parts names, and gives it no default"),
        ("\0", "is no configuration file of openSMILE"),
    ],
)
def test_a_configuration_that_cannot_be_used_says_why_in_one_line(text, said, tmp_path):
    with pytest.raises(SettingError, match=said) as error:
        OpenSmile.load("own", OpenSmileOptions(conf=written(tmp_path, text)), SETUP)
    assert "own" in str(error.value) and "\n" not in str(error.value)


def test_a_configuration_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingError, match="none.conf: cannot be read"):
        OpenSmile.load("own", OpenSmileOptions(conf=str(tmp_path / "none.conf")), SETUP)


@pytest.mark.filterwarnings("ignore:Segment too short")
def test_an_unknown_set_is_answered_with_those_there_are():
    with pytest.raises(SettingError, match="set must be one of ComParE_2016, .*emobase, IS09, .*, but is 'eGeMAPS3'"):
        OpenSmile.load("made", OpenSmileOptions(set="eGeMAPS3"), SETUP)
    with pytest.raises(SettingError, match="eGeMAPSv02: Feature level 'LowLevelDescriptors_Deltas' is not available"):
        OpenSmile.load("made", OpenSmileOptions(level="deltas"), SETUP)
    with pytest.raises(SettingError, match="seconds must be more for openSMILE: the longest input is too short"):
        OpenSmile.load("made", OpenSmileOptions(seconds=0.05), SETUP)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"level": "func"}, "level must be functionals or lld or deltas, but is 'func'"),
        ({"set": "IS09", "conf": "a.conf"}, "set and conf cannot both be given, but are 'IS09' and 'a.conf'"),
        ({"conf_level": "energies"}, "conf level needs conf"),
        ({"conf": "a.conf", "conf_level": "a;b"}, "conf level must be the name of a level, but is 'a;b'"),
        ({"rate": 100}, "rate must be at least 1000 Hz"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(SettingError, match=said):
        OpenSmileOptions(**options)


def test_without_the_package_the_extra_is_named(monkeypatch):
    really = builtins.__import__

    def without(name, *arguments, **named):
        if name == "opensmile":
            raise ModuleNotFoundError("No module named 'opensmile'", name="opensmile")
        return really(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EncoderError, match=r'opensmile is not installed: pip install "msmt\[opensmile\]"'):
        OpenSmile.load("made", OpenSmileOptions(), SETUP)


def test_what_is_loaded_can_be_handed_from_a_process(sounds):
    got = loaded(OpenSmile.load("made", OpenSmileOptions(), SETUP), sounds)
    assert np.array_equal(pickle.loads(pickle.dumps(got)).content, got.content)
