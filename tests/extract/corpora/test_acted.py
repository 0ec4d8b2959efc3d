from __future__ import annotations

from collections import Counter

import pytest
from msmt.errors import CorpusError
from msmt.extract.corpora.acted import item_name, read
from msmt.extract.corpora.acted_names import CORPORA, CREMA_D, EMODB, RAVDESS
from msmt.extract.corpora.config import CorpusOptions
from msmt.extract.corpora.contract import DUPLICATE, MISCUT, UNREADABLE
from msmt.extract.corpora.reading import corpus_of
from msmt.extract.corpora.registry import adapter_of, load_corpus
from msmt.extract.corpora.speaker_folds import standard_splits

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 72862\n"


def touched(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"sound of " + path.encode())
    return folder


def found(folder, dataset="ravdess"):
    return read(CORPORA[dataset], folder, CorpusOptions())


def ravdess_names(actors=range(1, 25), emotions=range(1, 9)):
    """All that there should be of these actors and emotions."""
    return [
        f"Actor_{actor:02}/03-01-{emotion:02}-{intensity:02}-{sentence:02}-{take:02}-{actor:02}.wav"
        for actor in actors
        for emotion in emotions
        for intensity in ((1,) if emotion == 1 else (1, 2))
        for sentence in (1, 2)
        for take in (1, 2)
    ]


def emodb_names():
    """One sentence of each speaker in each emotion."""
    return [f"wav/{speaker}a01{emotion}a.wav" for speaker in EMODB.sexes for emotion in EMODB.emotions]


@pytest.fixture(scope="module")
def whole_ravdess(tmp_path_factory):
    return found(touched(tmp_path_factory.mktemp("ravdess"), *ravdess_names()))


def test_the_datasets_are_known_by_name():
    assert [adapter_of(name).name for name in ("emodb", "ravdess", "crema-d")] == ["emodb", "ravdess", "crema-d"]


@pytest.mark.parametrize(
    ("dataset", "files", "by_class"),
    [
        ("emodb", 535, [127, 81, 46, 69, 71, 62, 79]),
        ("ravdess", 1440, [96, 192, 192, 192, 192, 192, 192, 192]),
        ("crema-d", 7442, [1271, 1271, 1271, 1271, 1087, 1271]),
    ],
)
def test_what_should_be_there_adds_up_to_the_published_counts(dataset, files, by_class):
    corpus = CORPORA[dataset]
    assert [sum(each[name] for each in corpus.expected.values()) for name in corpus.classes] == by_class
    assert sum(by_class) == files


def test_women_and_men_are_as_many_as_published():
    counted = {name: Counter(corpus.sexes.values()) for name, corpus in CORPORA.items()}
    assert counted["emodb"] == {"female": 5, "male": 5}
    assert counted["ravdess"] == {"female": 12, "male": 12}
    assert counted["crema-d"] == {"female": 43, "male": 48}


def test_a_name_of_ravdess_says_emotion_intensity_sentence_and_actor(tmp_path):
    reading = found(touched(tmp_path, "Actor_12/03-01-06-01-02-01-12.wav"))
    item = reading.items.iloc[0]
    assert reading.tasks[0].classes[item["label_emotion"]] == "fearful"
    assert (item["speaker"], item["extra_sex"], item["extra_intensity"]) == ("12", "female", "normal")
    assert item["text"] == "Dogs are sitting by the door."
    assert item["recording_id"] == item["segment_id"] == "03-01-06-01-02-01-12"


def test_a_name_of_emodb_says_speaker_sentence_and_emotion(tmp_path):
    reading = found(touched(tmp_path, "wav/03a01Fa.wav"), "emodb")
    item = reading.items.iloc[0]
    assert reading.tasks[0].classes[item["label_emotion"]] == "happiness"
    assert (item["speaker"], item["extra_sex"]) == ("03", "male")
    assert item["text"] == "Der Lappen liegt auf dem Eisschrank."
    assert "extra_intensity" not in item


def test_a_name_of_crema_d_says_actor_sentence_emotion_and_level(tmp_path):
    reading = found(touched(tmp_path, "AudioWAV/1002_IEO_DIS_HI.wav"), "crema-d")
    item = reading.items.iloc[0]
    assert reading.tasks[0].classes[item["label_emotion"]] == "disgust"
    assert (item["speaker"], item["extra_sex"], item["extra_intensity"]) == ("1002", "female", "high")
    assert item["text"] == "It's eleven o'clock."


def test_all_of_ravdess_is_found_with_nothing_to_say(whole_ravdess):
    assert whole_ravdess.arrangement == "found 1,440 of 1,440 files, by 24 of 24 speakers, in Actor_*"
    assert (whole_ravdess.orphans, whole_ravdess.left_out, whole_ravdess.notes) == ((), (), ())


def test_each_count_that_is_expected_is_met_by_the_whole_corpus(whole_ravdess):
    emotion = whole_ravdess.tasks[0]
    items = whole_ravdess.items.assign(
        emotion=[emotion.classes[label] for label in whole_ravdess.items[emotion.column]]
    )
    assert {"split", "emotion", "speaker"} == {column for count in whole_ravdess.counts for column in count.where}
    for count in whole_ravdess.counts:
        rows = items[(items[list(count.where)] == list(count.where.values())).all(axis=1)]
        assert (rows["speaker"].nunique() if count.unit == "speaker" else len(rows)) == count.expected, count


def test_the_corpus_is_of_recordings_with_one_segment_each(whole_ravdess):
    corpus = corpus_of(whole_ravdess)
    assert corpus.table["recording_id"].nunique() == len(corpus.table) == 1440
    assert (whole_ravdess.tasks[0].name, whole_ravdess.tasks[0].level) == ("emotion", "segment")


@pytest.mark.parametrize(
    ("dataset", "validated", "tested"),
    [
        ("emodb", "12 14", "15 16"),
        ("ravdess", "09 10 21 22", "11 12 23 24"),
        (
            "crema-d",
            "1008 1016 1021 1031 1039 1043 1050 1055 1066 1073 1080 1084 1090",
            "1009 1017 1024 1032 1040 1046 1051 1056 1067 1074 1081 1089",
        ),
    ],
)
def test_the_standard_splits_follow_from_the_speakers_numbers(dataset, validated, tested):
    splits = standard_splits(CORPORA[dataset].sexes, CORPORA[dataset].parts)
    assert [who for who, split in splits.items() if split == "val"] == validated.split()
    assert [who for who, split in splits.items() if split == "test"] == tested.split()


def test_no_split_moves_when_a_file_is_missing(tmp_path, whole_ravdess):
    fewer = found(touched(tmp_path, *ravdess_names()[:-7][3:]))
    columns = ["split", *(name for name in fewer.items if name.startswith("scheme_"))]
    whole = whole_ravdess.items.set_index("segment_id")
    assert fewer.items.set_index("segment_id")[columns].equals(whole.loc[fewer.items["segment_id"], columns])


@pytest.mark.parametrize(("dataset", "family", "folds"), [("ravdess", "folds", 5), ("emodb", "speakers", 10)])
def test_each_speaker_is_tested_once_and_never_with_itself_in_training(tmp_path, dataset, family, folds):
    reading = found(touched(tmp_path, *(ravdess_names() if dataset == "ravdess" else emodb_names())), dataset)
    schemes = reading.schemes[family]["schemes"]
    tested = Counter()
    for name in schemes:
        homes = reading.items.groupby("speaker")[f"scheme_{name}"].unique()
        assert set(homes.map(len)) == {1}
        assert {home[0] for home in homes} == {"train", "val", "test"}
        tested.update(who for who, home in homes.items() if home[0] == "test")
    assert len(schemes) == folds
    assert set(tested) == set(CORPORA[dataset].sexes) and set(tested.values()) == {1}


def test_folds_have_as_many_women_as_men(whole_ravdess):
    for name in whole_ravdess.schemes["folds"]["schemes"]:
        tested = whole_ravdess.items[whole_ravdess.items[f"scheme_{name}"] == "test"]
        counts = tested.groupby("extra_sex")["speaker"].nunique()
        assert counts["female"] == counts["male"]


def test_a_fold_of_emodb_is_named_for_the_speaker_that_it_tests(tmp_path):
    reading = found(touched(tmp_path, *emodb_names()), "emodb")
    tested = reading.items[reading.items["scheme_speaker08"] == "test"]
    assert set(tested["speaker"]) == {"08"}
    assert reading.schemes["speakers"]["schemes"][0] == "speaker03"


def test_half_a_corpus_has_the_folds_of_its_speakers_and_says_which_are_not_there(tmp_path):
    reading = found(touched(tmp_path, *ravdess_names(actors=[1, 2, 3, 4, 5, 6])))
    assert reading.schemes["folds"]["schemes"] == ["fold1", "fold2", "fold3"]
    assert set(reading.items["scheme_fold3"]) == {"train", "val", "test"}
    assert reading.arrangement.startswith("found 360 of 1,440 files, by 6 of 24 speakers")
    said = "\n".join(reading.notes)
    assert "no file of speaker 07, 08, 09 and 15 more of 24 is there" in said
    assert "no file of split val, test is there; msmt split --by speaker makes others" in said
    assert "there is no fold4, fold5" in said


def test_of_one_speaker_there_are_no_folds_and_it_is_said(tmp_path):
    reading = found(touched(tmp_path, "wav/03a01Fa.wav", "wav/03a01Wa.wav"), "emodb")
    assert reading.schemes == {}
    assert not [name for name in reading.items if name.startswith("scheme_")]
    assert "folds: there are none, for too few speakers are there to train, validate and test" in reading.notes


def test_an_emotion_that_is_absent_is_said(tmp_path):
    names = [name for name in emodb_names() if not name.endswith(("Ea.wav", "La.wav"))]
    assert "no file of emotion boredom, disgust is there" in found(touched(tmp_path, *names), "emodb").notes


def test_one_emotion_alone_is_said_to_teach_nothing(tmp_path):
    notes = found(touched(tmp_path, *ravdess_names(emotions=[3]))).notes
    assert "all files are of emotion happy: with one class only nothing can be learnt" in notes


def test_songs_and_videos_without_sound_are_left_out_and_counted(tmp_path):
    folder = touched(
        tmp_path,
        "Actor_01/03-01-03-01-01-01-01.wav",
        "Audio_Song_Actors_01-24/Actor_01/03-02-03-01-01-01-01.wav",
        "Video_Speech_Actor_01/Actor_01/02-01-03-01-01-01-01.mp4",
    )
    reading = found(folder)
    assert reading.items["segment_id"].tolist() == ["03-01-03-01-01-01-01"]
    assert Counter(aside.reason for aside in reading.left_out) == {
        "they are songs": 1,
        "they are videos without sound": 1,
    }
    assert any("1 annotated item is left out: they are songs" in note for note in corpus_of(reading).notes)


def test_the_sound_of_a_video_is_taken_where_there_is_no_wav_of_it(tmp_path):
    folder = touched(tmp_path, "Actor_01/01-01-03-01-01-01-01.mp4", "Actor_01/01-01-04-01-01-01-01.mp4")
    touched(tmp_path, "Actor_01/03-01-04-01-01-01-01.wav")
    reading = found(folder)
    assert reading.items["audio"].tolist() == ["Actor_01/01-01-03-01-01-01-01.mp4", "Actor_01/03-01-04-01-01-01-01.wav"]
    assert reading.items["segment_id"].tolist() == ["03-01-03-01-01-01-01", "03-01-04-01-01-01-01"]
    assert [aside.reason for aside in reading.left_out] == ["the same is there as .wav"]


def test_the_second_copy_of_an_archive_is_passed_over_and_said(tmp_path):
    names = ravdess_names(actors=[1, 2, 3])
    folder = touched(tmp_path, *names, *(f"audio_speech_actors_01-24/{name}" for name in names))
    for name in names:
        (folder / "audio_speech_actors_01-24" / name).write_bytes((folder / name).read_bytes())
    reading = found(folder)
    assert set(reading.items["audio"]) == set(names)
    assert {aside.reason for aside in reading.left_out} == {"a file of the same name and size is taken"}
    assert len(reading.left_out) == 180 and not reading.orphans
    assert any(note.startswith("180 ") and "are left out" in note for note in corpus_of(reading).notes)


def test_a_file_of_the_same_name_with_other_content_is_told_from_a_copy(tmp_path):
    folder = touched(tmp_path, "wav/03a01Fa.wav", "denoised/wav/03a01Fa.wav")
    (folder / "denoised/wav/03a01Fa.wav").write_bytes(b"another sound")
    (orphan,) = found(folder, "emodb").orphans
    assert (orphan.name, orphan.reason) == (
        "denoised/wav/03a01Fa.wav",
        "for one of the same name and another size is taken",
    )


def test_the_other_forms_of_crema_d_are_not_read_beside_its_wav(tmp_path):
    folder = touched(tmp_path, *(f"{form}/1001_DFA_ANG_XX.{end}" for form, end in _FORMS))
    reading = found(folder, "crema-d")
    assert reading.items["audio"].tolist() == ["AudioWAV/1001_DFA_ANG_XX.wav"]
    assert len(reading.left_out) == 2 and not reading.orphans


_FORMS = (("AudioWAV", "wav"), ("AudioMP3", "mp3"), ("VideoFlash", "flv"))


def test_names_in_capitals_are_read_and_items_are_called_alike(tmp_path):
    folder = touched(tmp_path, "WAV/03A01FA.WAV", "WAV/08A02WC.WAV")
    assert found(folder, "emodb").items["segment_id"].tolist() == ["03a01Fa", "08a02Wc"]


def test_a_name_that_older_copies_have_wrong_is_read_as_the_right_one(tmp_path):
    items = found(touched(tmp_path, "AudioWAV/1040_ITH_SAD_X.wav"), "crema-d").items
    assert (items["segment_id"][0], items["extra_intensity"][0]) == ("1040_ITH_SAD_XX", "unspecified")


def test_what_a_mac_leaves_is_passed_over_and_counted(tmp_path):
    folder = touched(tmp_path, "wav/03a01Fa.wav", "wav/._03a01Fa.wav", "__MACOSX/wav/._03a01Fa.wav")
    reading = found(folder, "emodb")
    assert len(reading.items) == 1 and not reading.orphans
    assert "hidden file" in reading.notes[0]


def test_files_of_other_names_are_listed(tmp_path):
    folder = touched(tmp_path, "wav/03a01Fa.wav", "wav/03a01Fa (1).wav", "wav/test.wav", "erklaerung.txt")
    orphans = found(folder, "emodb").orphans
    assert [aside.name for aside in orphans] == ["wav/03a01Fa (1).wav", "wav/test.wav"]
    assert orphans[0].reason == "for they are not called like 03a01Fa.wav"


@pytest.mark.parametrize(
    ("dataset", "name", "reason"),
    [
        ("emodb", "wav/03a01Xa.wav", "emodb has no emotion x"),
        ("emodb", "wav/17a01Fa.wav", "emodb has no speaker 17"),
        ("emodb", "wav/03c01Fa.wav", "emodb has no sentence c01"),
        ("ravdess", "Actor_01/03-01-09-01-01-01-01.wav", "ravdess has no emotion 09"),
        ("ravdess", "Actor_25/03-01-03-01-01-01-25.wav", "ravdess has no speaker 25"),
        ("crema-d", "AudioWAV/1001_DFA_ANG_MAX.wav", None),
        ("crema-d", "AudioWAV/1001_DFA_JOY_XX.wav", "crema-d has no emotion joy"),
    ],
)
def test_a_code_that_is_not_known_is_named_and_left_out(tmp_path, dataset, name, reason):
    good = {"emodb": "wav/03a01Fa.wav", "ravdess": "03-01-03-01-01-01-01.wav", "crema-d": "1001_DFA_ANG_XX.wav"}
    reading = found(touched(tmp_path, name, good[dataset]), dataset)
    assert len(reading.items) == 1
    assert [aside.reason for aside in reading.left_out] == ([reason] if reason else [])
    assert len(reading.orphans) == (reason is None)


def test_a_folder_with_nothing_of_it_is_refused_in_one_line(tmp_path):
    folder = touched(tmp_path, "wav/03a01Fa.wav")
    with pytest.raises(CorpusError, match="holds no file of ravdess called like 03-01-06-01-02-01-12.wav; unpack"):
        found(folder)


def test_a_folder_of_songs_alone_is_refused_for_that(tmp_path):
    folder = touched(tmp_path, "Actor_01/03-02-03-01-01-01-01.wav")
    with pytest.raises(CorpusError, match="1 files are left out, for they are songs"):
        load_corpus("ravdess", folder)


def test_pointers_of_git_lfs_are_refused_where_nothing_else_is_there(tmp_path):
    folder = touched(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav")
    (folder / "AudioWAV/1001_DFA_ANG_XX.wav").write_bytes(POINTER)
    with pytest.raises(CorpusError, match="1 audio files are pointers of git-lfs, .* git lfs pull"):
        found(folder, "crema-d")


def test_another_form_is_taken_where_the_wav_was_not_fetched(tmp_path):
    folder = touched(tmp_path, *(f"{form}/1001_DFA_ANG_XX.{end}" for form, end in _FORMS))
    (folder / "AudioWAV/1001_DFA_ANG_XX.wav").write_bytes(POINTER)
    reading = found(folder, "crema-d")
    assert reading.items["audio"].tolist() == ["AudioMP3/1001_DFA_ANG_XX.mp3"]
    assert len(reading.left_out) == 2


def test_some_pointers_among_files_are_counted(tmp_path):
    folder = touched(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1001_DFA_SAD_XX.wav")
    (folder / "AudioWAV/1001_DFA_ANG_XX.wav").write_bytes(POINTER)
    assert any(note.startswith("1 of 2 audio files are pointers") for note in found(folder, "crema-d").notes)


def test_crema_d_has_the_defects_of_the_form_that_is_taken(tmp_path):
    wav = found(touched(tmp_path / "a", "AudioWAV/1064_IEO_DIS_MD.wav"), "crema-d")
    mp3 = found(touched(tmp_path / "b", "AudioMP3/1064_IEO_DIS_MD.mp3"), "crema-d")
    assert {(one.item, one.problem) for one in wav.defects} == {
        ("1076_MTI_SAD_XX", UNREADABLE),
        ("1006_TIE_NEU_XX", DUPLICATE),
        ("1013_WSI_SAD_XX", DUPLICATE),
        ("1017_IWW_FEA_XX", DUPLICATE),
    }
    assert {one.item for one in mp3.defects if one.problem == MISCUT} == {"1064_IEO_DIS_MD"}


def test_item_names_and_patterns_fit_each_other():
    for corpus in (EMODB, RAVDESS, CREMA_D):
        codes = corpus.pattern.fullmatch(corpus.example.removesuffix(".wav")).groupdict()
        assert item_name(corpus, codes) + ".wav" == corpus.example
