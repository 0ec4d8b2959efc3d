"""What the made corpora reward: systems with context, speakers, prosody and words, and without each of them.

    python benchmarks/rewards.py [--dialogues 180] [--seeds 3] [--systems merits-l,mmml] [--out FOLDER] [--seed 0]

Dialogues come from the maker behind ``msmt demo --layout meld`` and ``iemocap``, as many as it takes to see differences.
Encoders are small and have random weights, so of the voice they tell less than openSMILE's functionals, which stand in
for them. Each system is trained with its parts and without; its first row is the one that all others are tested against.
A system that does not hear, or not know, what the maker has put there must do worse; rows are named for what they lack.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile
import yaml

EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
TASKS = ("emotion", "next_emotion")
FRIENDS, RATE = 6, 16_000
FUNCTIONALS, FRAMES, TOKENS, WINDOW = "functionals", "mel", "tokens", "window"  # names of features
SMALL = {"heads": 4, "width": 64}

TEXT = "text:encoder=encoders/text"
FEATURES = {
    FUNCTIONALS: "opensmile:set=eGeMAPSv02",
    FRAMES: "mel:bands=64,window=0.1,hop=0.08,high=4000",
    TOKENS: f"{TEXT},tokens=64",
    "words": f"{TEXT},tokens=64,pool=mean",
    WINDOW: f"{TEXT},tokens=128,turns=3,speakers=true",
    "window-nobody": f"{TEXT},tokens=128,turns=3,speakers=false",
    "turn": f"{TEXT},tokens=128,turns=1,speakers=true",
}

BOTH = f"text=words,audio={FUNCTIONALS}"
CUES = {"model": "emotional-cues", **SMALL, "layers": 1, "feed_forward": 128, "two_step": False, "words": False}
MEASURED, HEARD = f"audio={FUNCTIONALS}", f"audio={FRAMES}"
STAGE_1 = {"model": "merits-stage1", "embeds": "segment"}
STAGE_2 = {"model": "merits-stage2", "embeds": "context"}
SYSTEMS: dict[str, dict[str, dict]] = {
    "cm-roberta": {
        "cm-roberta": {"model": "cm-roberta", "slot": BOTH},
        "no prosody": {"model": "cm-roberta", "slot": "text=words,audio="},
        "no words": {"model": "cm-roberta", "slot": f"text=,{MEASURED}"},
        "no context": {"model": "linear", "slot": BOTH},
    },
    "msmt-fn": {
        "msmt-fn": {"slot": f"text={TOKENS},{HEARD}", **SMALL, "feed_forward": 128, "complementary_layers": 2},
        "no prosody": {"slot": f"text={TOKENS},audio=", **SMALL, "feed_forward": 128},
        "no words": {"slot": f"text=,{HEARD}", **SMALL, "feed_forward": 128},
    },
    "mmml": {
        "mmml": {"model": "mmml", "slot": f"text={TOKENS},{HEARD}", **SMALL, "layers": 2},
        "no context": {"model": "mmml", "slot": f"text={TOKENS},{HEARD}", **SMALL, "layers": 2, "context": False},
        "no prosody": {"model": "mmml", "slot": f"text={TOKENS},audio=", **SMALL, "layers": 2},
        "no words": {"model": "mmml", "slot": f"text=,{HEARD}", **SMALL, "layers": 2},
    },
    "merits-l": {
        "stage 3": {"model": "merits-stage3", "slot": "text=@no prosody,audio=@no words"},
        "no prosody": {**STAGE_2, "modalities": "text", "slot": "text=@no prosody no context"},
        "no words": {**STAGE_2, "modalities": "audio", "slot": "audio=@no words no context"},
        "no prosody no context": {**STAGE_1, "modalities": "text", "slot": f"text={TOKENS}"},
        "no words no context": {**STAGE_1, "modalities": "audio", "slot": MEASURED},
    },
    "emotional-cues": {
        "emotional-cues": {**CUES, "slot": f"text={WINDOW},{HEARD}"},
        "no speakers": {**CUES, "slot": f"text=window-nobody,{HEARD}"},
        "no context": {**CUES, "slot": f"text=turn,{HEARD}", "turns": 1},
        "no prosody": {**CUES, "slot": f"text={WINDOW},audio="},
        "no words": {**CUES, "slot": f"text=,{HEARD}"},
    },
    "emotional-cues-words": {  # trained in a tenth of the time
        "words": {**CUES, "slot": f"text={WINDOW},audio="},
        "no speakers": {**CUES, "slot": "text=window-nobody,audio="},
        "no context": {**CUES, "slot": "text=turn,audio=", "turns": 1},
    },
}


def write_talk(data: Path, dialogues: int, seed: int) -> int:
    """A corpus of one csv and one folder of audio, split by dialogue; how many utterances it has."""
    from msmt.extract.layouts.scenario import dialogue, person

    random = np.random.default_rng(seed)
    friends = [person(random, f"friend{number}", number % 2 == 0) for number in range(FRIENDS)]
    (data / "audio").mkdir(parents=True)
    rows = []
    for number in range(dialogues):
        split = ("train", "train", "train", "val", "test", "test")[number % 6]
        cast = [friends[place] for place in random.choice(FRIENDS, int(random.integers(2, 4)), replace=False)]
        turns = dialogue(random, cast, EMOTIONS, int(random.integers(6, 13)), rate=RATE)
        following = [*(each.emotion for each in turns[1:]), ""]
        for turn, (said, then) in enumerate(zip(turns, following, strict=True)):
            name = f"{number}-{turn}.wav"
            soundfile.write(data / "audio" / name, said.samples, RATE, subtype="PCM_16")
            rows.append([f"talk{number}", turn, said.speaker, split, name, said.text, said.emotion, then])
    with open(data / "segments.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["recording", "segment", "speaker", "split", "audio", "text", *TASKS])
        writer.writerows(rows)
    return len(rows)


def msmt(folder: Path, *arguments: str) -> str:
    """What a command says; ends this program where it fails."""
    done = subprocess.run([sys.executable, "-m", "msmt", *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"msmt {' '.join(arguments)}\n{done.stdout}{done.stderr}")
    return done.stdout


def features_of(systems: Iterable[str]) -> list[str]:
    """Names of the features that some systems take."""
    slots = [slot for system in systems for variant in SYSTEMS[system].values() for slot in variant["slot"].split(",")]
    named = {slot.partition("=")[2] for slot in slots}
    return [name for name in FEATURES if name in named]


def compare(folder: Path, system: str, task: str, options: argparse.Namespace) -> str:
    """The table of one system."""
    plan = {
        **{"tasks": task, "seeds": options.seeds, "epochs": options.epochs, "patience": 8},
        **{"learning_rate": 1e-3, "batch_recordings": 8, "accumulation": 1, "select": "macro_f1"},
        "variants": SYSTEMS[system],
    }
    path = folder / f"{system}-{task}.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    return msmt(folder, "ablate", path.name, "--out", f"{system}-{task}", "--skip-missing", "-q")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--dialogues", type=int, default=180)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40, help="at most; 8 without a better one on validation end it")
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--out", type=Path, help="keep everything in this folder, and go on where it was left")
    parser.add_argument("--seed", type=int, default=0, help="of the corpus")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.out or Path(name)
        if not (folder / "encoders").exists():
            msmt(Path.cwd(), "demo", "--layout", "meld", "--out", str(folder), "-q")
        if not (folder / "talk").exists():
            print(f"{write_talk(folder / 'talk', options.dialogues, options.seed)} utterances", flush=True)
        systems = options.systems.split(",")
        features = [part for name in features_of(systems) for part in ("--feature", f"{name}={FEATURES[name]}")]
        labels = ("--label-columns", ",".join(TASKS), "--label-level", "segment")
        msmt(folder, "extract", "--dataset", "generic", "--data", "talk", *labels, *features, "-q")
        for task in options.tasks.split(","):
            for system in systems:
                print(f"\n{system}, {task}\n{compare(folder, system, task, options)}", flush=True)


if __name__ == "__main__":
    main()
