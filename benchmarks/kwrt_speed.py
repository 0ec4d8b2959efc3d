"""Seconds that ``kwrt`` takes for a corpus of MELD's size, beside a question to the database for each pair of words.

    python -m msmt.benchmarks.kwrt_speed
    python -m msmt.benchmarks.kwrt_speed --conceptnet conceptnet-assertions-5.7.0.csv.gz --texts train_sent_emo.csv

Without files it makes a vocabulary of words as frequent as those of a language, conversations of them, and
assertions about them. The reference asks the same database, pair by pair, for a part of the rows; both must come to
the same values.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from msmt.extract.conceptnet import RELATIONS
from msmt.extract.extractors.contract import Material, Setup
from msmt.extract.extractors.kwrt import Kwrt, KwrtOptions
from msmt.extract.extractors.word_importance import over_tokens
from msmt.features.segments import segment_table
from transformers import BertTokenizerFast

UTTERANCES, PER_DIALOGUE, WORDS, VOCABULARY, ASSERTIONS = 13_708, 10, 8, 6000, 400_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conceptnet", type=Path, help="ConceptNet's assertions; made up unless given")
    parser.add_argument(
        "--texts", type=Path, help="csv with Utterance, Speaker, Dialogue_ID and Utterance_ID, as MELD's"
    )
    parser.add_argument("--utterances", type=int, default=UTTERANCES)
    parser.add_argument("--compared", type=int, default=200, help="rows that the reference does")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder), asked)


def _measure(folder: Path, asked: argparse.Namespace) -> None:
    chance = random.Random(0)
    vocabulary = sorted(
        {"".join(chance.choices("abcdefghijklmnop", k=chance.randint(3, 9))) for _ in range(VOCABULARY)}
    )
    table = _table(asked.texts) if asked.texts else _made_up(chance, vocabulary, asked.utterances)
    words = sorted({word for text in table["text"] for word in text.lower().replace("'", " ").split()})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *":'.,!?", *(f"s{n}" for n in range(1, 10)), *words]
    encoder = folder / "encoder"
    BertTokenizerFast(vocab={piece: number for number, piece in enumerate(dict.fromkeys(pieces))}).save_pretrained(
        encoder
    )
    (encoder / "config.json").write_text('{"model_type": "bert"}')
    dump = asked.conceptnet or _assertions(folder / "assertions.csv", chance, vocabulary)
    began = time.perf_counter()
    options = KwrtOptions(
        encoder=str(encoder), tokens=199, turns=3, speakers=True, conceptnet=str(dump), index=str(folder)
    )
    extractor = Kwrt.load("kwrt", options, Setup(torch.device("cpu")))
    print(f"database of {extractor.knowledge.kept:,} assertions: {time.perf_counter() - began:.1f} s")
    material = Material(folder, segment_table(table, ()), lambda path: "")
    began, made = time.perf_counter(), []
    for row in range(len(table)):
        function, arguments = extractor.job(material, row)
        loaded = function(*arguments)
        made.append(extractor.encode([loaded])[0]["kwrt"])
    seconds = time.perf_counter() - began
    print(f"{len(table):,} utterances: {seconds:.1f} s")
    step = max(1, len(table) // asked.compared)
    began, compared = time.perf_counter(), range(0, len(table), step)
    with sqlite3.connect(extractor.knowledge.path) as database:
        for row in compared:
            function, arguments = extractor.job(material, row)
            given = function(*arguments).content
            words = extractor.words_of(given)
            values = _pair_by_pair(database, [term for term, _ in words])
            spread = over_tokens(len(given.tokens), (tokens for _, tokens in words), values)
            assert spread == made[row][:, 0].tolist()
    each = (time.perf_counter() - began) / len(compared)
    print(
        f"pair by pair: {each * len(table):.1f} s for all, by {len(compared)} of them: {each * len(table) / seconds:.1f} x"
    )


def _pair_by_pair(database: sqlite3.Connection, terms: Sequence[str]) -> list[int]:
    rows = []
    for i, one in enumerate(terms):
        value = 0
        for j, other in enumerate(terms):
            if i != j:
                found = database.execute(
                    "SELECT relations FROM related WHERE word = ? AND other = ?", (one, other)
                ).fetchone()
                value += (one == other) + (found[0].bit_count() if found else 0)
        rows.append(value)
    return rows


def _made_up(chance: random.Random, vocabulary: Sequence[str], utterances: int) -> pd.DataFrame:
    frequencies = [1 / (rank + 10) for rank in range(len(vocabulary))]
    rows = []
    for number in range(utterances):
        length = chance.randint(1, 2 * WORDS - 1)
        text = " ".join(chance.choices(vocabulary, frequencies, k=length))
        dialogue, index = divmod(number, PER_DIALOGUE)
        rows.append((f"d{dialogue}", index, f"s{number % 3}", text))
    return _segments(pd.DataFrame(rows, columns=["recording_id", "index", "speaker", "text"]))


def _table(path: Path) -> pd.DataFrame:
    names = {"Dialogue_ID": "recording_id", "Utterance_ID": "index", "Speaker": "speaker", "Utterance": "text"}
    table = pd.read_csv(path)[[*names]].rename(columns=names)
    return _segments(table.assign(recording_id="d" + table["recording_id"].astype(str)))


def _segments(table: pd.DataFrame) -> pd.DataFrame:
    ids = table["recording_id"] + "-" + table["index"].astype(str)
    return table.assign(segment_id=ids, audio="", split="train")


def _assertions(path: Path, chance: random.Random, vocabulary: Sequence[str]) -> Path:
    about = '{"weight": 1.0}'
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(ASSERTIONS):
            relation, start, end = chance.choice((*RELATIONS, "Synonym")), *chance.choices(vocabulary, k=2)
            file.write(f"/a/[]\t/r/{relation}\t/c/en/{start}/n\t/c/en/{end}\t{about}\n")
    return path


if __name__ == "__main__":
    main()
