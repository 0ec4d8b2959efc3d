"""What each system of a paper declares, and what a preset makes of it for a store."""

from __future__ import annotations

import dataclasses

import pytest
import yaml
from msmt.errors import SettingError
from msmt.evaluate.published import registry as published
from msmt.extract.extractors.registry import KINDS
from msmt.extract.asked import named_features
from msmt.extract.config import ExtractConfig
from msmt.extract.making import check_options
from msmt.studies.systems.asking import features_asked, files_given
from msmt.studies.systems.contract import Row, alternatives
from msmt.studies.systems.listing import features_yaml, figures_of, lines_of_system, lines_of_systems
from msmt.studies.systems.presets import preset_plan
from msmt.studies.systems.bench import rows_of_all
from msmt.studies.systems.registry import (
    ALL_SYSTEMS,
    SYSTEMS,
    is_here,
    network_of_preset,
    paper_settings,
    preset_names,
    system_named,
)
from msmt.studies.systems.settling import check_here, settled_rows
from msmt.tests.studies.systems_made import SPECS, store_like_meld
from msmt.train.config import TrainConfig
from msmt.train.models.registry import DEFAULT, network_named, settings_of
from msmt.train.plans import variants_of

EVERY = [system_named(name) for name in SYSTEMS]
HERE = [system for system in EVERY if is_here(system)]
OF_PLANS = {"model", "embeds"}


def named(systems):
    return pytest.mark.parametrize("system", systems, ids=[system.name for system in systems])


@pytest.fixture(scope="module")
def meld(tmp_path_factory):
    return store_like_meld(tmp_path_factory.mktemp("meld") / "meld.zarr")


def file(tmp_path, name: str) -> str:
    (tmp_path / name).write_bytes(b"made")
    return str(tmp_path / name)


class TestDeclarations:
    def test_names_are_names_once(self):
        assert len(set(preset_names())) == len(preset_names()) and preset_names()[-1] == ALL_SYSTEMS
        assert [system.name for system in EVERY] == list(SYSTEMS)

    @named(EVERY)
    def test_rows_name_features_rows_and_published_figures_that_exist(self, system):
        for preset in system.presets:
            rows = {row.name for row in preset.rows}
            assert len(rows) == len(preset.rows)
            for row in (*preset.rows, *system.bench):
                for wanted in (each for filling in row.slots.values() for each in alternatives(filling)):
                    is_row = wanted.startswith("@") and wanted[1:] in {*rows, *(each.name for each in system.bench)}
                    assert not wanted or is_row or system.feature_named(wanted), (row.name, wanted)
                assert not row.paper or published.is_published(row.paper), row.paper
            if preset.dataset in published.CORPORA:
                names = published.names_in(preset.dataset)
                assert all(row.paper in names for row in preset.rows if row.paper)

    @named(EVERY)
    def test_every_given_file_says_what_it_is_and_every_reading_is_whole(self, system):
        given = [feature.given for feature in system.features if feature.given]
        assert len({each.name for each in given}) == len(given) and all(len(each.what) > 20 for each in given)
        assert system.readings and all(reading.says and reading.read for reading in system.readings)
        assert set(system.training) == set(system.networks)

    @named(HERE)
    def test_rows_and_training_settings_are_options_of_their_networks(self, system):
        for network, settings in system.training.items():
            fields = {each.name for kind in (settings_of(network), TrainConfig) for each in dataclasses.fields(kind)}
            assert set(settings) <= fields
        for preset in system.presets:
            rows = {row.name: {**row.options, "paper": row.paper} for row in preset.rows}
            variants_of(rows, preset.options, preset.name)
            for row in preset.rows:
                network = network_named(str(row.options.get("model", preset.options.get("model", DEFAULT))))
                kind = network.settings
                own = {name: row.options[name] for name in row.options if name in kind.__dataclass_fields__}
                slots = {slot.name for slot in network.slots(kind(**own))}
                assert set(row.slots) <= slots or network.more_slots, row.name

    @named([system for system in EVERY if all(feature.kind in KINDS for feature in system.features)])
    def test_the_features_shown_are_a_file_that_extract_takes(self, system, tmp_path):
        for dataset in ("", "sims"):
            (tmp_path / "features.yaml").write_text("\n".join(features_yaml(system, dataset)))
            made = named_features(str(tmp_path / "features.yaml"), ())
            assert [one.name for one in made] == [feature.name for feature in system.features]
            check_options(ExtractConfig(features=str(tmp_path / "features.yaml")))

    @named(EVERY)
    def test_all_of_it_is_shown(self, system):
        shown = " ".join(" ".join(lines_of_system(system)).split())
        assert yaml.safe_load("\n".join(features_yaml(system)))["features"].keys() == {f.name for f in system.features}
        assert all(preset.name in shown for preset in system.presets)
        assert all(row.name in shown for preset in system.presets for row in preset.rows)
        assert all(" ".join(reading.says.split()) in shown for reading in system.readings)

    def test_the_list_shows_every_system_and_what_is_not_here(self):
        shown = "\n".join(lines_of_systems())
        assert all(name in shown for name in (*SYSTEMS, ALL_SYSTEMS))
        assert ("not here" in shown) == (len(HERE) < len(EVERY))

    def test_published_figures_stand_in_the_list_as_they_were_printed(self):
        system = system_named("cm-roberta")
        preset = system.preset_named("cm-roberta")
        assert [figures_of(preset, row) for row in preset.rows][:2] == [
            "MELD emotion: weighted F1 66.28",
            "MELD emotion: weighted F1 65.66",
        ]
        mosi = system_named("msmt-fn").preset_named("msmt-fn-mosi")
        assert "acc-7 51.02" in figures_of(mosi, mosi.rows[0]) and "MELD" not in figures_of(mosi, mosi.rows[0])

    def test_lengths_of_the_public_corpora_are_those_of_the_paper(self):
        presets = {preset.dataset: preset.lengths for preset in system_named("msmt-fn").presets}
        assert {name: tuple(lengths.values()) for name, lengths in presets.items() if lengths} == {
            "mosi": (96, 6.0),
            "mosei": (96, 6.0),
            "meld": (60, 6.0),
            "sims": (48, 6.0),
        }

    def test_the_settings_of_papers_are_by_network_and_baselines_have_none(self):
        assert paper_settings("cm-roberta")["optimizer"] == "adam" and paper_settings("mmml")["learning_rate"] == 5e-6
        assert paper_settings("msmt-fn")["pooling"] == "flatten"
        with pytest.raises(SettingError, match="--preset paper sets options of msmt-fn, .*, not of linear"):
            paper_settings("linear")
        assert network_of_preset("cm-roberta") == "cm-roberta"
        assert network_of_preset(ALL_SYSTEMS) == network_of_preset("nothing") == DEFAULT


class TestWhatExtractIsAsked:
    def asked(self, name="cm-roberta", dataset="meld", given=None, encoders=None, elsewhere=("openl3",), there=()):
        return features_asked(system_named(name), dataset, given or {}, encoders or {}, elsewhere, there)

    def test_files_take_the_place_of_their_options(self, tmp_path):
        conf = file(tmp_path, "emo_large.conf")
        made = {one.name: one for one in self.asked(given={"emo_large": conf}).named}
        assert set(made) == {"functionals", "roberta-last4"}
        assert made["functionals"].values == {"conf": conf, "seconds": 40.0} and made["functionals"].kind == "opensmile"
        assert made["roberta-last4"].values["layers"] == [-4, -3, -2, -1]

    def test_encoders_of_the_user_take_the_place_of_the_systems(self):
        made = {one.name: one for one in self.asked("mmml", encoders={"text": "a", "audio": "b"}).named}
        assert {made[name].values["encoder"] for name in ("roberta-large", "roberta-base")} == {"a"}
        assert {made[name].values["encoder"] for name in ("data2vec-large", "data2vec-base")} == {"b"}

    def test_encoders_follow_the_language_of_the_corpus(self):
        english = {one.name: one.values["encoder"] for one in self.asked("msmt-fn", "meld").named}
        chinese = {one.name: one.values["encoder"] for one in self.asked("msmt-fn", "marketcalls").named}
        assert english == {"hubert": "facebook/hubert-base-ls960", "roberta": "roberta-base"}
        assert chinese["roberta"] == "hfl/chinese-roberta-wwm-ext"
        sims = {one.name: one.values for one in self.asked("mmml", "sims").named}
        assert sims["roberta-large"]["tokens"] == 64 and sims["roberta-large"]["encoder"] == chinese["roberta"]

    def test_a_missing_file_is_told_in_one_line_with_its_source(self, tmp_path):
        with pytest.raises(SettingError) as caught:
            self.asked()
        said = str(caught.value)
        assert "--given emo_large=PATH" in said and "github.com/audeering/opensmile" in said and "\n" not in said
        with pytest.raises(SettingError, match="there is no such file; it is emo_large.conf"):
            self.asked(given={"emo_large": str(tmp_path / "nowhere")})

    def test_a_feature_is_left_out_where_its_file_is_said_to_be_none_or_the_store_has_it(self):
        left = self.asked(given={"emo_large": ""})
        assert [one.name for one in left.named] == ["roberta-last4"] and "functionals is left out" in left.remarks[0]
        there = self.asked(there=("functionals",))
        assert there.remarks == ("functionals is in the store and stays as it is",)

    def test_optional_features_are_left_out_and_what_replaces_them_is_made(self, tmp_path, monkeypatch):
        monkeypatch.setitem(KINDS, "care", KINDS.get("care", KINDS["speech"]))
        without = [one.name for one in self.asked("merits-l").named]
        assert without == ["wavlm", "roberta-cls"]
        care = {"care": file(tmp_path, "care.safetensors"), "roberta-ft": str(tmp_path)}
        made = {one.name: one for one in self.asked("merits-l", given=care, encoders={"text": "other"}).named}
        assert set(made) == {"care", "roberta-ft", "roberta-cls"}
        assert (
            made["roberta-ft"].values["encoder"] == str(tmp_path) and made["roberta-cls"].values["encoder"] == "other"
        )

    def test_what_is_given_wrongly_is_one_line(self):
        for words, said in ((("openl3",), "NAME=PATH"), (("a=1", "a=2"), "twice"), (("=x",), "NAME=PATH")):
            with pytest.raises(SettingError, match=said):
                files_given(words)
        with pytest.raises(SettingError, match="takes no --given 'other': it takes emo_large, openl3"):
            self.asked(given={"other": "x"})
        with pytest.raises(SettingError, match="nor any other"):
            self.asked("msmt-fn", given={"other": "x"})

    def test_a_kind_that_is_not_here_is_one_line(self, tmp_path, monkeypatch):
        monkeypatch.delitem(KINDS, "opensmile")
        with pytest.raises(SettingError, match="feature functionals: there is no kind opensmile; choose from"):
            self.asked(given={"emo_large": file(tmp_path, "conf")})


class TestPresets:
    def test_all_rows_stand_with_the_features_of_the_paper_its_settings_and_task(self, meld):
        plan, notes = preset_plan("cm-roberta", meld, {})
        rows = {variant.name: variant for variant in plan.variants}
        assert list(rows) == [row.name for row in system_named("cm-roberta").presets[0].rows] and not notes
        assert rows["full"].train.slots == {"text": "roberta-last4", "audio": "functionals", "openl3": "openl3"}
        assert rows["audio-no-functionals"].train.slots == {"text": "", "audio": "", "openl3": "openl3"}
        assert rows["full"].train.optimizer == "adam" and rows["full"].train.tasks == "emotion"
        assert rows["text"].paper == "CM-RoBERTa, text" and not rows["no-attention"].model.attention

    def test_options_of_the_user_win_over_those_of_the_paper(self, meld):
        plan, _ = preset_plan("cm-roberta", meld, {"epochs": 2, "optimizer": "adamw", "tasks": "next_emotion"})
        assert {(each.train.epochs, each.train.optimizer, each.train.tasks) for each in plan.variants} == {
            (2, "adamw", "next_emotion")
        }

    def test_rows_without_features_are_left_out_with_the_command_that_adds_them(self, tmp_path):
        store = store_like_meld(tmp_path / "meld.zarr", features=("functionals", "roberta-last4"))
        plan, notes = preset_plan("cm-roberta", store, {})
        assert [variant.name for variant in plan.variants] == ["text", "audio-no-openl3"]
        [note] = notes
        assert note.startswith("full, no-attention, audio, audio-no-functionals, join-concat are left out: add openl3 ")
        assert f"msmt extract --dataset meld --preset cm-roberta --store {store.path} --given openl3=PATH" in note

    def test_a_store_without_any_of_it_is_one_line(self, tmp_path):
        store = store_like_meld(tmp_path / "meld.zarr", features=("hubert",))
        with pytest.raises(SettingError, match="has no row that .* has the features for: full, no-attention, "):
            preset_plan("cm-roberta", store, {})

    def test_a_slot_of_the_users_takes_the_place_of_the_rows(self, tmp_path):
        store = store_like_meld(tmp_path / "meld.zarr", features=("functionals", "roberta"))
        plan, _ = preset_plan("cm-roberta", store, {"slot": "text=roberta,openl3=functionals"})
        rows = {variant.name: variant.train.slots for variant in plan.variants}
        assert rows["text"] == {"text": "roberta", "audio": ""}
        assert rows["full"] == {"text": "roberta", "audio": "functionals", "openl3": "functionals"}

    def test_another_feature_that_fits_does_where_the_preset_lets_it(self, meld):
        plan, notes = preset_plan("mmml", meld, {})
        rows = {variant.name: variant for variant in plan.variants}
        assert rows["context"].train.slots == {"text": "roberta", "audio": "hubert"}
        assert rows["no-context"].paper == "MMML" and not rows["no-context"].model.context
        assert "roberta has up to 7 tokens, the paper takes 96" in notes

    def test_one_head_and_the_corpus_of_the_figures(self, meld):
        plan, notes = preset_plan("msmt-fn-meld", meld, {})
        assert {variant.model.mtl for variant in plan.variants} == {False}
        assert {variant.train.tasks for variant in plan.variants} == {"emotion"}
        assert "roberta has up to 7 tokens, the paper takes 60" in notes
        with pytest.raises(SettingError, match="about the task sentiment, which .* has not: it has emotion, next_emot"):
            preset_plan("msmt-fn-mosi", meld, {})
        _, notes = preset_plan("msmt-fn-mosi", meld, {"tasks": "emotion"})
        assert any("preset msmt-fn-mosi is about mosi, and" in note for note in notes)

    def test_a_corpus_of_single_segments_has_no_next_emotion(self, tmp_path, monkeypatch):
        from msmt.extract.corpora.meld import EMOTION
        from msmt.studies.systems import emotional_cues

        store = store_like_meld(tmp_path / "s.zarr", tasks=(EMOTION,))
        here = dataclasses.replace(emotional_cues.SYSTEM, networks=("linear",), bench=())
        rows = (Row("full", {"model": "linear"}, {"text": "roberta"}),)
        presets = tuple(dataclasses.replace(each, rows=rows, options={}) for each in here.presets)
        monkeypatch.setattr(emotional_cues, "SYSTEM", dataclasses.replace(here, presets=presets))
        with pytest.raises(SettingError, match="about the task next_emotion, which .*: its recordings are single segm"):
            preset_plan("emotional-cues-epc", store, {})
        assert preset_plan("emotional-cues-erc", store, {})[0].variants[0].train.tasks == "emotion"
        nameless = store_like_meld(tmp_path / "nameless.zarr", speakers=False)
        with pytest.raises(SettingError, match="emotional-cues tells speakers apart, but .* does not say who speaks"):
            preset_plan("emotional-cues-epc", nameless, {})

    def test_a_row_that_learns_from_one_that_is_left_out_is_left_out_too(self, meld):
        system = system_named("cm-roberta")
        rows = (
            Row("late", {}, {"text": "@middle"}),
            Row("middle", {}, {"text": "@early"}),
            Row("early", {}, {"text": "nowhere"}),
            Row("other", {}, {"text": ("nowhere", "roberta*")}),
        )
        kept, notes = settled_rows(system, rows, meld, {}, any_feature=False)
        assert kept == {"other": {"slot": "text=roberta*"}}
        assert "middle is left out, for it learns from early" in notes and len(notes) == 3

    def test_a_system_whose_network_is_not_here_is_one_line(self, meld):
        away = dataclasses.replace(system_named("mmml"), networks=("nowhere",))
        with pytest.raises(SettingError, match="mmml needs the network nowhere, which is not here: msmt-fn, "):
            check_here(away, meld)


class TestAllSystems:
    def test_every_network_that_the_store_has_features_for_stands(self, meld):
        plan, notes = preset_plan(ALL_SYSTEMS, meld, {"epochs": 1})
        rows = {variant.name: variant for variant in plan.variants}
        assert {"msmt-fn", "linear", "bigru", "cm-roberta", "mmml"} <= set(rows)
        assert rows["cm-roberta"].train.slots == {"text": "roberta-last4", "audio": "functionals", "openl3": "openl3"}
        assert rows["msmt-fn"].train.slots == {"text": "roberta", "audio": "hubert"}
        assert rows["mmml"].train.slots == {"text": "roberta", "audio": "hubert"}
        assert len({dataclasses.replace(each.train, slot="") for each in rows.values()}) == 1  # all are trained alike
        assert "cm-roberta learns from text roberta-last4, audio functionals, openl3 openl3" in notes

    def test_a_network_without_features_is_named_with_the_command(self, tmp_path):
        store = store_like_meld(tmp_path / "meld.zarr", features=("functionals", "roberta-last4"))
        plan, notes = preset_plan(ALL_SYSTEMS, store, {})
        names = {variant.name for variant in plan.variants}
        assert {"linear", "bigru", "cm-roberta"} <= names and not {"msmt-fn", "mmml"} & names
        said = next(note for note in notes if note.startswith("mmml is left out: add roberta-large, data2vec-large"))
        assert "msmt extract --dataset meld --preset mmml" in said

    def test_a_network_that_cannot_be_had_is_named_and_keeps_no_other_from_training(self, tmp_path, monkeypatch):
        monkeypatch.setitem(SPECS, "kwrt", dataclasses.replace(SPECS["roberta"], kind="kwrt", width=1, dtype="float32"))
        monkeypatch.setitem(SPECS, "mel-patches", dataclasses.replace(SPECS["hubert"], kind="mel"))
        store = store_like_meld(tmp_path / "meld.zarr", features=tuple(SPECS))
        rows, notes = rows_of_all(store, {"language_layers": str(tmp_path / "nowhere")})
        assert {"msmt-fn", "cm-roberta", "mmml"} <= set(rows) and "emotional-cues" not in rows
        assert any(note.startswith(f"emotional-cues is left out: {tmp_path / 'nowhere'}") for note in notes)

    def test_features_that_the_user_names_are_taken(self, meld):
        plan, notes = preset_plan(ALL_SYSTEMS, meld, {"slot": "text=roberta-last4,audio=openl3"})
        assert "msmt-fn is left out: roberta-last4 does not fit its slot text" in notes
        rows = {variant.name: variant for variant in plan.variants}
        assert rows["linear"].train.slots == {"text": "roberta-last4", "audio": "openl3"}


def test_the_made_store_has_what_the_tests_name():
    assert {"functionals", "openl3", "roberta-last4"} <= set(SPECS)
