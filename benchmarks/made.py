"""Calls as benchmarks need them: lengths like those of calls, sound like speech, encoders of the real size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 8000


def call_lengths(
    count: int, mean: float = 15.0, seed: int = 0, shortest: float = 2.0, longest: float = 40.0
) -> np.ndarray:
    """Seconds of ``count`` segments: lognormal around ``mean``, cut at both ends."""
    spread = 0.6
    drawn = np.random.default_rng(seed).lognormal(np.log(mean) - spread**2 / 2, spread, count)
    return drawn.clip(shortest, longest)


def speech_like(seconds: float, seed: int) -> np.ndarray:
    """Voiced syllables at about four a second over line noise, float32."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = random.uniform(90, 220) * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 9))
    syllables = np.clip(np.sin(2 * np.pi * 4 * time + random.uniform(0, 6)), 0, None)
    return (0.1 * voice * syllables + 0.01 * random.standard_normal(len(time))).astype(np.float32)


def save_real_size_encoders(folder: Path) -> tuple[Path, Path]:
    """HubertModel and BertModel in their default (base) sizes, with random weights and a small vocabulary."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast, HubertConfig, HubertModel

    torch.manual_seed(0)
    HubertModel(HubertConfig()).save_pretrained(folder / "audio")
    BertModel(BertConfig()).save_pretrained(folder / "text")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(1000))]
    BertTokenizerFast(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder / "text")
    return folder / "audio", folder / "text"


def transcript(tokens: int, seed: int) -> str:
    """A text of so many tokens, the two special ones included."""
    return " ".join(f"w{number}" for number in np.random.default_rng(seed).integers(0, 1000, tokens - 2))


def write_marketcalls(data: Path, segments: int, seed: int = 0, distinct: int = 0) -> np.ndarray:
    """A corpus in the MarketCalls layout; returns the seconds of each segment.

    With ``distinct``, sounds are cut from so many long recordings instead of made one by one, which is faster.
    """
    seconds = call_lengths(segments, seed=seed)
    (data / "audio").mkdir(parents=True)
    pool = [speech_like(60.0, number) for number in range(distinct)]
    random = np.random.default_rng(seed)
    rows = {"train": [], "val": [], "test": []}
    for number, length in enumerate(seconds):
        if pool:
            start = int(random.integers(0, 60 * RATE - int(length * RATE)))
            samples = pool[number % distinct][start : start + round(length * RATE)]
        else:
            samples = speech_like(length, number)
        recording = number // 3
        name = f"s{number}.wav"
        soundfile.write(data / "audio" / name, samples, RATE, subtype="PCM_16")
        split = ("train", "train", "train", "train", "val", "test")[recording % 6]
        text = transcript(int(np.clip(4 * length, 3, 199)), number)
        rows[split].append(f"r{recording},{name},{number},{text},{'ABCDE'[recording % 5]}")
    for split, lines in rows.items():
        header = "phone,Audio_id,Segment_number,text,label"
        (data / f"{split}.csv").write_text("\n".join([header, *lines]) + "\n")
    return seconds


def marketcalls_tasks() -> tuple:
    """The four tasks that follow from the labels of MarketCalls."""
    from msmt.features.tasks import Task, merged

    five = Task("five", tuple("ABCDE"))
    coarser = {"four": ("A", "B", "C", "D+E"), "three": ("A", "B+C", "D+E"), "two": ("A+B+C", "D+E")}
    return five, *(merged(five, name, *classes) for name, classes in coarser.items())


def write_store(path: Path, segments: int, seed: int = 0):
    """A finished store of MarketCalls' kind, with random features of ``segments`` call-like segments; opened.

    Three segments make a recording, and every sixth recording is of validation, every sixth of test.
    """
    import pandas as pd
    from msmt.features.opening import open_store, writer_for
    from msmt.features.rows import BLOCK_ROWS, Row, block_range
    from msmt.features.segments import segment_table
    from msmt.features.spec import FeatureSpec

    tasks = marketcalls_tasks()
    audio = FeatureSpec("audio", "made", "HubertModel", "made", width=768, max_rows=999, sample_rate=RATE)
    text = FeatureSpec("text", "made", "BertModel", "made", width=768, max_rows=199)
    seconds = call_lengths(segments, seed=seed)
    lengths = {
        "hubert": (25 * seconds).round().astype(int).clip(1, audio.max_rows),
        "roberta": (4 * seconds).round().astype(int).clip(3, text.max_rows),
    }
    recording = np.arange(segments) // 3
    names = [f"s{row}" for row in range(segments)]
    columns = {
        "segment_id": names,
        "recording_id": [f"r{number}" for number in recording],
        "index": np.arange(segments) % 3,
        "split": np.array(["train", "train", "train", "train", "val", "test"])[recording % 6],
        "audio": names,
        "label_five": recording % 5,
    }
    columns |= {task.column: np.array(task.coarse_index(tasks[0]))[recording % 5] for task in tasks[1:]}
    table = segment_table(pd.DataFrame(columns), tasks)
    pool = np.random.default_rng(seed).standard_normal((4096, 768)).astype(np.float16)
    with writer_for(path) as writer:
        writer.prepare("marketcalls", tasks, table, {"hubert": audio, "roberta": text}, lengths)
        for name in lengths:
            for block in range(-(-segments // BLOCK_ROWS)):
                rows = {}
                for row in block_range(block, segments):
                    start = row * 97 % 3000
                    rows[row] = Row(pool[start : start + lengths[name][row]], row + 1)
                writer.commit(name, block, rows)
        writer.finish()
    return open_store(path)
