from __future__ import annotations

import pandas as pd
from msmt.evaluate.units import speakers_of


def table(rows: list[tuple[str, str]], split: str = "test") -> pd.DataFrame:
    """Segments of these recordings and speakers."""
    recordings, speakers = zip(*rows, strict=True)
    return pd.DataFrame({"recording_id": recordings, "speaker": speakers, "split": split, "view": "original"})


def test_each_recording_has_its_speaker():
    rows = [("r1", "anna"), ("r2", "ben"), ("r3", "anna")]
    assert speakers_of(table(rows), "test", ["r3", "r2", "r1"]) == ("anna", "ben", "anna")


def test_speakers_of_one_recording_and_recordings_of_one_speaker_hang_together():
    rows = [("r1", "anna"), ("r1", "ben"), ("r2", "ben"), ("r2", "carl"), ("r3", "dora"), ("r4", "carl")]
    together = "anna + ben + carl"
    assert speakers_of(table(rows), "test", ["r1", "r2", "r3", "r4"]) == (together, together, "dora", together)


def test_a_recording_that_lacks_a_speaker_has_none():
    assert speakers_of(table([("r1", "anna"), ("r1", ""), ("r2", "anna")]), "test", ["r1", "r2"]) == ("", "anna")


def test_segments_take_the_speakers_of_their_recording():
    rows = [("r1", "anna"), ("r1", "ben"), ("r2", "carl")]
    assert speakers_of(table(rows), "test", ["r1", "r1", "r2"]) == ("anna + ben", "anna + ben", "carl")


def test_other_splits_and_altered_copies_do_not_connect_speakers():
    rows = table([("r1", "anna"), ("r2", "ben")])
    other = table([("r9", "anna"), ("r9", "ben")], split="train")
    copies = table([("r1", "anna"), ("r1", "ben")]).assign(view="noise")
    assert speakers_of(pd.concat([rows, other, copies]), "test", ["r1", "r2"]) == ("anna", "ben")
