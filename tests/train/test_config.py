"""Settings of a run: what is refused, and that each can become an option."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import subprocess
import sys

import pytest
from msmt.errors import SettingError
from msmt.studies.systems.registry import paper_settings
from msmt.train.config import CHOICES, ModelConfig, TrainConfig


@pytest.mark.parametrize(
    "settings, values, said",
    [
        (ModelConfig, {"pooling": "max"}, "pooling must be one of flatten, cls, mean, attention, but is 'max'"),
        (ModelConfig, {"dropout": 1.0}, "dropout must be at least 0 and below 1, but is 1.0"),
        (ModelConfig, {"complementary_layers": 0}, "complementary_layers must be at least 1, but is 0"),
        (ModelConfig, {"width": 100}, "heads must divide the width, but 12 does not divide 100"),
        (ModelConfig, {"segment_vector": "audio"}, "segment_vector must be one of mean, text, complementary"),
        (
            ModelConfig,
            {"segment_vector": "text", "modalities": "audio"},
            "segment_vector text chooses between two streams, but with modalities audio there is one",
        ),
        (
            ModelConfig,
            {"segment_vector": "text", "bottleneck": False},
            "segment_vector text never hears the audio without the bottleneck",
        ),
        (
            ModelConfig,
            {"segment_vector": "complementary", "bottleneck_layers": 1},
            "segment_vector complementary learns of the other stream from the second bottleneck layer on",
        ),
        (
            ModelConfig,
            {"shared_bottleneck": True, "modalities": "text"},
            "shared_bottleneck is about two streams, but with modalities text there is one",
        ),
        (
            ModelConfig,
            {"shared_bottleneck": True, "bottleneck": False},
            "shared_bottleneck is about the bottleneck, which is switched off",
        ),
        (ModelConfig, {"mtl": "no"}, "mtl must be of type bool, but is 'no'"),
        (TrainConfig, {"epochs": "35"}, "epochs must be of type int, but is '35'"),
        (TrainConfig, {"learning_rate": 0.0}, "learning_rate must be above 0, but is 0.0"),
        (TrainConfig, {"learning_rate": float("nan")}, "learning_rate must be above 0, but is nan"),
        (TrainConfig, {"clip_norm": float("inf")}, "clip_norm must be at least 0, but is inf"),
        (TrainConfig, {"warmup": 1.0}, "warmup must be at least 0 and below 1, but is 1.0"),
        (TrainConfig, {"name": "a/b"}, "name must be usable as the name of a folder, but is 'a/b'"),
        (TrainConfig, {"validation_split": "train"}, "train_split and validation_split must differ"),
        (TrainConfig, {"schedule": "steps"}, "schedule must be one of cosine, linear, constant"),
        (TrainConfig, {"seed": 2**70}, "seed must be at most 9223372036854775807, but is 1180591620717411303424"),
        (TrainConfig, {"epochs": 10**400}, "epochs must be at most 1000000, but is 1000"),
        (TrainConfig, {"cache_gb": 10**400}, "cache_gb must be of type float, but is 1000"),
        (TrainConfig, {"readers": 10**6}, "readers must be at most 256, but is 1000000"),
        (TrainConfig, {"name": "a\nb"}, "name must be text in one line, but holds the character U+000A"),
        (TrainConfig, {"name": "x" * 201}, "name must have at most 200 bytes"),
        (ModelConfig, {"width": 10**12}, "width must be at most 65536, but is 1000000000000"),
        (ModelConfig, {"gru_layers": 10**9}, "gru_layers must be at most 256, but is 1000000000"),
        (ModelConfig, {"pooling": "x" * 5000}, "pooling must be one of flatten, cls, mean, attention, but is 'xxx"),
    ],
)
def test_values_that_make_no_sense_are_refused(settings, values, said):
    with pytest.raises(SettingError) as refused:
        settings(**values)
    assert said in str(refused.value) and "\n" not in str(refused.value) and len(str(refused.value)) < 200


def test_a_whole_number_may_stand_for_a_real_one():
    assert TrainConfig(clip_norm=2).clip_norm == 2


@pytest.mark.parametrize("settings", [ModelConfig, TrainConfig])
def test_every_field_has_a_sentence_and_a_plain_default(settings):
    bases = [base for base in settings.__mro__ if dataclasses.is_dataclass(base)]
    body = [item for base in bases for item in ast.parse(inspect.getsource(base)).body[0].body]
    for field in dataclasses.fields(settings):
        place = next(i for i, item in enumerate(body) if getattr(getattr(item, "target", None), "id", "") == field.name)
        assert ast.literal_eval(body[place + 1].value).endswith("."), field.name
        assert type(field.default) in (bool, int, float, str)


def test_choices_and_presets_belong_to_fields():
    fields = {field.name for settings in (ModelConfig, TrainConfig) for field in dataclasses.fields(settings)}
    assert set(CHOICES) < fields
    preset = paper_settings("msmt-fn")
    of_model = {field.name for field in dataclasses.fields(ModelConfig)} & set(preset)
    assert set(preset) < fields
    ModelConfig(**{name: preset[name] for name in of_model})
    TrainConfig(**{name: value for name, value in preset.items() if name not in of_model})


def test_the_two_settings_share_no_field():
    assert not {f.name for f in dataclasses.fields(ModelConfig)} & {f.name for f in dataclasses.fields(TrainConfig)}


@pytest.mark.parametrize(
    "switches, name",
    [
        ({}, "full"),
        ({"mtl": False, "bottleneck": False}, "no-mtl-no-bottleneck"),
        ({"context": False, "modalities": "text"}, "no-context-text"),
        ({"segment_vector": "text", "shared_bottleneck": True}, "text-vector-shared-bottleneck"),
        ({"bottleneck": False, "segment_vector": "complementary"}, "no-bottleneck-complementary-vector"),
    ],
)
def test_a_variant_is_named_for_its_switches(switches, name):
    assert ModelConfig(**switches).variant == name


def test_task_names_may_have_spaces_around_them():
    assert TrainConfig(tasks=" five, two ,").task_names == ("five", "two")


def test_settings_are_there_without_torch():
    code = "import sys, msmt.train.config; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
