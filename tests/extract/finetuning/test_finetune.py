"""Fine-tuning: what it learns, what it writes, and that stopping changes nothing."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from msmt.errors import EncoderError, MsmtError, RunError, SettingError
from msmt.extract.extractors.contract import Setup
from msmt.extract.extractors.text import Text, TextOptions
from msmt.extract.finetuning.network import Finetuned, Head, balanced_weights
from msmt.studies.finetuning import begin, go_on
from msmt.tests.extract.finetuning.made import asked, finetuned, write_labels
from msmt.tests.extract.made import (
    TEXT_CLASSES,
    audio_encoder,
    save_encoders,
    text_encoder,
    write_calls,
)
from safetensors.torch import load_file
from transformers import AutoModel


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    return save_encoders(tmp_path_factory.mktemp("encoders"))


@pytest.fixture(scope="module")
def learnt(tmp_path_factory, encoders):
    """A folder with a csv of labels and a finished run on it."""
    folder = tmp_path_factory.mktemp("learnt")
    csv = write_labels(folder / "labels.csv")
    return folder, csv, finetuned(folder, encoders[1], csv, epochs=6)


def weights_of(path) -> dict[str, torch.Tensor]:
    return load_file(path / "encoder/model.safetensors")


def test_it_learns_what_words_mean_and_says_so(learnt):
    _, _, result = learnt
    assert result.record["validation"]["weighted_f1"] > 0.8 and not result.warnings
    assert result.lines[-1].endswith("runs/run/encoder: give it to msmt extract --text-encoder")


def test_the_encoder_is_an_ordinary_folder_with_nothing_missing_and_no_head(learnt):
    _, _, result = learnt
    path = result.folder.encoder
    model, report = AutoModel.from_pretrained(path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    assert type(model).__name__ == "BertModel" and not any("head" in name for name in weights_of(path.parent))
    assert set(load_file(path.parent / "head.safetensors")) == {
        *("dense.weight", "dense.bias", "output.weight", "output.bias")
    }
    assert not (path.parent / "checkpoints").exists()


def test_extraction_takes_it_as_another_encoder_whose_digest_the_record_names(learnt, encoders):
    _, _, result = learnt
    setup = Setup(device=torch.device("cpu"), precision="float32", dataset="generic")
    base, tuned = (
        Text.load("", TextOptions(encoder=str(path), tokens=20), setup) for path in (encoders[1], result.folder.encoder)
    )
    assert tuned.specs["roberta"].weights == result.record["weights"] != base.specs["roberta"].weights
    assert base.specs["roberta"].weights == result.record["base"]["weights"]
    tokens = base.encoder.tokenize(["yes thanks"])[0]
    ours, theirs = (each.encoder.encode_alone(tokens) for each in (base, tuned))
    assert any(not torch.allclose(ours[layer], theirs[layer], atol=1e-3) for layer in ours)
    assert not base.remarks and tuned.remarks == ("roberta: its encoder was fine-tuned on labels.csv",)


def test_the_folder_says_what_it_was_trained_on(learnt):
    _, _, result = learnt
    card = json.loads((result.folder.encoder / "msmt.json").read_text())
    assert card["trained_on"]["csv"] == "labels.csv" and card["settings"]["epochs"] == 6 and card["msmt"]
    parts = card["trained_on"]["parts"]
    assert sum(part["count"] for part in parts.values()) == 48 and parts["train"]["text"] != parts["val"]["text"]
    assert [task for task in card["task"]["classes"]] == ["negative", "neutral", "positive"]


class Interrupted(Exception):
    pass


def interrupted_after(steps: int):
    """A Track that ends everything once so many steps are done."""
    from contextlib import contextmanager

    @contextmanager
    def track(description, total, unit="items"):
        done = 0

        def advance(count):
            nonlocal done
            done += count
            if done >= steps:
                raise Interrupted

        yield advance

    return track


@pytest.mark.parametrize("save_steps", [0, 3])
def test_a_run_that_was_stopped_gives_the_same_encoder_as_one_that_was_not(tmp_path, encoders, save_steps):
    csv = write_labels(tmp_path / "labels.csv")
    options = {"epochs": 3, "save_steps": save_steps, "accumulation": 2, "batch": 4}
    whole = finetuned(tmp_path, encoders[1], csv, name="whole", **options)
    runs = tmp_path / "runs"
    for steps in (4, 5, 7):  # before and after the end of the first epoch, which has 6 steps
        shutil.rmtree(runs / "stopped", ignore_errors=True)
        with pytest.raises(Interrupted):
            begin(asked(encoders[1], csv, **options), runs, "stopped", track=interrupted_after(steps))
        assert not (runs / "stopped/encoder").exists()
        half = runs / "stopped/checkpoints/checkpoint-999"  # as a kill in the midst of writing leaves one
        half.mkdir(parents=True, exist_ok=True)
        (half / "trainer_state.json").write_text("{")
        with pytest.raises(Interrupted):
            go_on(runs, "stopped", track=interrupted_after(steps + 5))
        again = go_on(runs, "latest")
        assert again.folder.path.name == "stopped"
        ours, theirs = weights_of(runs / "whole"), weights_of(runs / "stopped")
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert again.record["weights"] == whole.record["weights"]


def test_a_finished_run_and_one_whose_labels_changed_do_not_go_on(tmp_path, encoders):
    csv, runs = write_labels(tmp_path / "labels.csv"), tmp_path / "runs"
    with pytest.raises(Interrupted):
        begin(asked(encoders[1], csv), runs, "run", track=interrupted_after(2))
    content = csv.read_text()
    csv.write_text(content.replace(",neutral", ",positive", 1))
    with pytest.raises(RunError, match="the examples changed since it was begun"):
        go_on(runs, "run")
    csv.write_text(content)
    go_on(runs, "run")
    with pytest.raises(RunError, match="is done: its encoder is"):
        go_on(runs, "run")
    with pytest.raises(RunError, match="is there already: go on with --resume run"):
        begin(asked(encoders[1], csv), runs, "run")
    with pytest.raises(RunError, match="there is no fine-tuning run other"):
        go_on(runs, "other")


def test_training_ends_when_nothing_gets_better_and_the_best_epoch_is_taken(tmp_path, encoders):
    csv = write_labels(tmp_path / "labels.csv")
    result = finetuned(tmp_path, encoders[1], csv, epochs=12, patience=2, select="macro_f1", learning_rate=1e-9)
    epochs = [json.loads(line) for line in (result.folder.path / "metrics.jsonl").read_text().splitlines()]
    assert [each["epoch"] for each in epochs] == [1, 2, 3] and result.record["validation"]["epoch"] == 1
    assert "every answer to validation is the same class" in result.warnings[0] or len({e["macro_f1"] for e in epochs})


def test_another_fine_tuned_folder_can_be_gone_on_from(tmp_path, learnt):
    _, csv, first = learnt
    second = finetuned(tmp_path, first.folder.encoder, csv, epochs=1)
    assert second.record["base"]["weights"] == first.record["weights"] != second.record["weights"]


def test_lowest_layers_and_embeddings_stay_as_they_are_where_asked(tmp_path, encoders):
    csv = write_labels(tmp_path / "labels.csv")
    finetuned(tmp_path, encoders[1], csv, epochs=1, freeze_layers=1)
    before, after = load_file(encoders[1] / "model.safetensors"), weights_of(tmp_path / "runs/run")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith("encoder.layer.1.") for name in changed)
    with pytest.raises(SettingError, match="freeze_layers must be at most 2"):
        finetuned(tmp_path, encoders[1], csv, name="other", freeze_layers=3)


def test_bfloat16_trains_weights_that_stay_float32(tmp_path, encoders):
    csv = write_labels(tmp_path / "labels.csv")
    for precision in ("float32", "bfloat16"):
        finetuned(tmp_path, encoders[1], csv, name=precision, epochs=1, precision=precision)
    ours, theirs = (weights_of(tmp_path / "runs" / name) for name in ("float32", "bfloat16"))
    assert all(weight.dtype == torch.float32 for weight in theirs.values())
    assert any(not torch.equal(ours[name], theirs[name]) for name in ours)


def test_values_are_learnt_by_squared_error_and_chosen_by_their_mean_error(tmp_path, encoders):
    csv = write_labels(tmp_path / "labels.csv")
    text = csv.read_text().replace(",negative", ",-1").replace(",neutral", ",0.0").replace(",positive", ",1.5")
    csv.write_text(text)
    result = finetuned(tmp_path, encoders[1], csv, generic={"label_kind": "value"}, epochs=8)
    assert result.record["validation"]["mae"] < 0.7 and "mae" in result.lines[0]
    assert load_file(tmp_path / "runs/run/head.safetensors")["output.weight"].shape[0] == 1


def test_a_corpus_is_learnt_on_its_training_split_and_nothing_of_test_is_looked_at(tmp_path, encoders, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_calls(tmp_path / "data/marketcalls", recordings=15)
    first = finetuned(tmp_path, encoders[1], epochs=1)
    test = tmp_path / "data/marketcalls/test.csv"
    test.write_text(test.read_text().replace("hello", "bye").replace(",A\n", ",B\n"))
    second = finetuned(tmp_path, encoders[1], name="again", epochs=1)
    assert first.record == second.record
    assert first.record["trained_on"]["dataset"] == "marketcalls" and first.record["task"]["name"] == "five"
    assert [first.record["trained_on"]["parts"][part]["count"] for part in ("train", "val")] == [18, 6]


def test_speech_is_heard_as_extraction_hears_it_and_convolutions_stay(tmp_path, encoders, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data/marketcalls"
    table = write_calls(data, recordings=10)
    broken = table[table["split"] == "train"]["Audio_id"].iloc[0]
    (data / "audio" / broken).write_bytes(b"RIFF of nothing")
    result = finetuned(tmp_path, encoders[0], epochs=1, task="two", seconds=1.0, select="loss")
    before, after = load_file(encoders[0] / "model.safetensors"), weights_of(tmp_path / "runs/run")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("encoder.layers.1.") for name in changed)
    assert not any(name.startswith("feature_extractor.") for name in changed)
    assert json.loads((result.folder.encoder / "config.json").read_text())["apply_spec_augment"] is True
    said = json.loads((result.folder.encoder / "preprocessor_config.json").read_text())
    assert said["sampling_rate"] == result.record["input"]["sample_rate"] == 8000
    assert result.record["input"]["max_samples"] == 8000
    assert broken.removesuffix(".wav") in (result.folder.path / "left-out.csv").read_text()
    _, report = AutoModel.from_pretrained(result.folder.encoder, output_loading_info=True)
    assert not report["missing_keys"] and "--audio-encoder" in result.lines[-1]


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta", "hubert", "wavlm", "wav2vec2"])
def test_what_is_padded_changes_no_logit(kind):
    modality = "text" if kind in TEXT_CLASSES else "audio"
    encoder = text_encoder(kind) if modality == "text" else audio_encoder(kind, norm="layer")
    torch.manual_seed(0)
    network = Finetuned(encoder, Head(48, 3, 0.1), None, 0.0, is_value=False).eval()
    name, short, long = ("input_ids", 5, 9) if modality == "text" else ("input_values", 4000, 9000)
    given = torch.randint(5, 20, (1, long)) if modality == "text" else torch.randn(1, long)
    mask = torch.ones(1, long, dtype=torch.long)
    mask[:, short:] = 0
    padded = given * mask + (1 - mask) * (encoder.config.pad_token_id if modality == "text" else 0)
    with torch.inference_mode():
        alone = network(**{name: given[:, :short]}, attention_mask=mask[:, :short])["logits"]
        beside = network(**{name: padded}, attention_mask=mask)["logits"]
    torch.testing.assert_close(alone, beside, atol=1e-5, rtol=1e-5)


def test_balanced_weights_make_classes_count_alike_and_enter_the_loss():
    weights = balanced_weights([6, 2, 0])
    np.testing.assert_allclose(weights, [8 / 12, 8 / 4, 0.0])
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 1, 0])
    plain, weighted = (Finetuned(text_encoder(), Head(48, 3, 0.0), w, 0.1, False) for w in (None, weights))
    expected = torch.nn.functional.cross_entropy(logits, labels, weight=weights, label_smoothing=0.1)
    assert weighted._loss(logits, labels) == expected != plain._loss(logits, labels)


def test_what_is_no_encoder_is_refused_in_a_line(tmp_path, encoders):
    csv = write_labels(tmp_path / "labels.csv")
    for source, said in ((tmp_path, "it has no config.json"), (tmp_path / "none", "there is no such encoder folder")):
        with pytest.raises(EncoderError, match=said):
            finetuned(tmp_path, source, csv)
    with pytest.raises(MsmtError, match="tokens is 100000|tokens at most"):
        finetuned(tmp_path, encoders[1], csv, tokens=100_000)
    assert not (tmp_path / "runs").exists()
