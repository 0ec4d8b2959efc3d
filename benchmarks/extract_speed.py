"""Encoding against the usual way, on one device, with encoders of the real size and random weights.

    python benchmarks/extract_speed.py [--segments 64] [--device cpu|cuda] [--busy 1] [--json FILE]
    python benchmarks/extract_speed.py --layers [--segments 64] [--device cpu|cuda] [--json FILE]

References, in the same run and on the same segments:

* ``one by one``: each segment alone, audio padded to 320,000 samples, text to 199 tokens, eager attention
  with ``output_attentions=True``, float32. This is what published code does in each step.
* ``batches of 8``: padded alike, scaled_dot_product_attention, float32.

Segments are taken in groups; within a group every way takes its turn, so that all of them meet the
machine in the same state. The ratio is that of the total times; the spread is over the groups.
With ``--busy 1`` a process that never rests takes one core meanwhile. With ``--layers`` a pass that makes four
layers of each encoder (3, 6, 9 and the last) is held against one that makes the last alone, nothing else.
On a GPU the largest bfloat16 matrix product is measured as well, and the share of it that the
encoding of valid rows reaches.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from msmt.extract.sound.audio import normalised
from msmt.extract.exact.transformer import LAST
from msmt.extract.extractors.speech import AudioEncoder, AudioModel
from msmt.extract.extractors.text import TextEncoder, load_text_model
from msmt.extract.batches import batches_of
from transformers import AutoModel

sys.path.insert(0, str(Path(__file__).parent))
from shared_cpu import counting  # noqa: E402
from made import RATE, call_lengths, save_real_size_encoders, speech_like, transcript  # noqa: E402

LONGEST, TOKENS, GROUP = 320_000, 199, 8
FOUR_LAYERS = (3, 6, 9, LAST)
PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=64)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--without", nargs="*", default=[], help="ways to leave out")
    parser.add_argument("--layers", action="store_true", help="only: a pass of four layers against one of one")
    parser.add_argument("--busy", type=int, choices=(0, 1), default=0, help="processes that count on a core meanwhile")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with counting(bool(options.busy)):
        measure(options)


def measure(options: argparse.Namespace) -> None:
    """Time every way, print the ratios, and write them to ``options.json`` if it is given."""
    device = torch.device(options.device)
    torch.set_grad_enabled(False)

    with tempfile.TemporaryDirectory() as folder:
        audio, text = map(str, save_real_size_encoders(Path(folder)))
        every = {
            "one by one": lambda: usual_way(
                audio, text, device, batch=1, attn_implementation="eager", output_attentions=True
            ),
            "batches of 8": lambda: usual_way(audio, text, device, batch=8, attn_implementation="sdpa"),
            "msmt float32": lambda: msmt_way(audio, text, device, "float32"),
            "msmt bfloat16": lambda: msmt_way(audio, text, device, "bfloat16"),
        }
        if options.layers:
            every = {
                f"{name} {precision}": lambda layers=layers, precision=precision: msmt_way(
                    audio, text, device, precision, layers
                )
                for precision in PRECISIONS
                for name, layers in (("one layer", (LAST,)), ("four layers", FOUR_LAYERS))
            }
        ways = {name: make() for name, make in every.items() if name not in options.without}

    seconds = call_lengths(options.segments)
    sounds = [normalised(speech_like(length, seed)) for seed, length in enumerate(seconds)]
    words = [transcript(int(np.clip(4 * length, 3, TOKENS)), seed) for seed, length in enumerate(seconds)]
    warm_up = (sounds[:1], words[:1])
    for way in ways.values():
        way(*warm_up)
    times: dict[str, list[float]] = {name: [] for name in ways}
    features: dict[str, list] = {name: [] for name in ways}
    group = options.segments if device.type == "cuda" else GROUP
    for start in range(0, options.segments, group):
        for name, way in ways.items():
            started = time.perf_counter()
            made = way(sounds[start : start + group], words[start : start + group])
            if device.type == "cuda":
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - started)
            features[name] += made

    result = {"device": str(device), "segments": options.segments, "mean_seconds": float(seconds.mean())}
    result["seconds"] = {name: sum(each) for name, each in times.items()}
    print(f"{options.segments} segments, mean {seconds.mean():.1f} s, on {device}, {torch.get_num_threads()} threads")
    for name, each in times.items():
        print(f"{name:<16}{sum(each):>9.1f} s {options.segments / sum(each):>9.2f} segments/s")
    pairs = [(f"msmt {precision}", way) for way in ("one by one", "batches of 8") for precision in PRECISIONS]
    for name, reference in pairs:
        if {reference, name} <= set(times):
            ratio, median = ratios(times[reference], times[name])
            result[f"{name} against {reference}"] = ratio
            print(f"{name} against {reference}: {ratio:.2f} x (median group {median:.2f} x)")
    for precision in PRECISIONS:
        one, four = f"one layer {precision}", f"four layers {precision}"
        if {one, four} <= set(times):
            ratio, median = ratios(times[four], times[one])
            result[f"{four}, of one layer"] = ratio
            print(f"{four} take {ratio:.3f} x the time of one layer (median group {median:.3f} x)")
    if "one by one" in features:
        for name in ways:
            result[f"{name} differs by"] = differences(features["one by one"], features[name])
            for kind, (largest, cosine) in result[f"{name} differs by"].items():
                print(f"{name:<16}{kind}: largest difference {largest:.1e}, mean cosine {cosine:.6f}")
    if device.type == "cuda" and "msmt bfloat16" in times:
        work = sum(
            valid_operations(len(sound), len(word.split()) + 2) for sound, word in zip(sounds, words, strict=True)
        )
        peak = largest_product(device)
        reached = work / sum(times["msmt bfloat16"])
        result |= {"tflops": reached / 1e12, "peak_tflops": peak / 1e12, "share_of_peak": reached / peak}
        print(
            f"{reached / 1e12:.0f} TFLOP/s over valid rows, {reached / peak:.0%} of the largest product's {peak / 1e12:.0f}"
        )
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


def usual_way(audio: str, text: str, device: torch.device, batch: int, output_attentions: bool = False, **how):
    """Padded inputs through the models of transformers; valid rows on the CPU."""
    from transformers import AutoTokenizer

    hubert = AutoModel.from_pretrained(audio, **how).eval().to(device)
    bert = AutoModel.from_pretrained(text, **how).eval().to(device)
    tokenizer = AutoTokenizer.from_pretrained(text)

    def encode(sounds, words):
        made = []
        for start in range(0, len(sounds), batch):
            some = sounds[start : start + batch]
            padded, mask = torch.zeros(len(some), LONGEST), torch.zeros(len(some), LONGEST, dtype=torch.long)
            for row, sound in enumerate(some):
                padded[row, : len(sound)], mask[row, : len(sound)] = torch.from_numpy(sound), 1
            arguments = {"output_attentions": True} if output_attentions else {}
            frames = hubert(padded.to(device), attention_mask=mask.to(device), **arguments).last_hidden_state.cpu()
            inputs = tokenizer(
                words[start : start + batch],
                padding="max_length",
                max_length=TOKENS,
                truncation=True,
                return_tensors="pt",
            ).to(device)
            tokens = bert(**inputs, **arguments).last_hidden_state.cpu()
            valid = hubert._get_feat_extract_output_lengths(mask.sum(1)).tolist()
            kept = inputs["attention_mask"].sum(1).tolist()
            made += [(frames[row, : valid[row]], tokens[row, : kept[row]]) for row in range(len(some))]
        return made

    return encode


def ratios(slower: list[float], faster: list[float]) -> tuple[float, float]:
    """Of the total times, and the median of those of the groups."""
    groups = [one / other for one, other in zip(slower, faster, strict=True)]
    return sum(slower) / sum(faster), statistics.median(groups)


def msmt_way(audio: str, text: str, device: torch.device, precision: str, layers: tuple[int, ...] = (LAST,)):
    """By segment the frames and the tokens of the last of the layers; all are computed and brought to the CPU."""
    how = {"sample_rate": RATE, "max_seconds": 40.0, "device": device, "precision": precision, "layers": layers}
    hubert = AudioEncoder.of(AudioModel.load(audio), **how)
    bert = TextEncoder(*load_text_model(text, TOKENS, precision), device, layers)
    assert not hubert.computes_padding

    def encode(sounds, words):
        frames: list = [None] * len(sounds)
        for batch in batches_of(
            {row: hubert.frames(len(sound)) for row, sound in enumerate(sounds)}, hubert.batch_rows
        ):
            for row, made in zip(batch, hubert.encode([sounds[row] for row in batch]), strict=True):
                frames[row] = {layer: values.cpu() for layer, values in made.items()}[LAST]
        tokens = [bert.cut(ids) for ids in bert.tokenize(words)]
        hidden: list = [None] * len(sounds)
        for batch in batches_of({row: len(ids) for row, ids in enumerate(tokens)}, bert.batch_rows):
            for row, made in zip(batch, bert.encode([tokens[row] for row in batch]), strict=True):
                hidden[row] = {layer: values.cpu() for layer, values in made.items()}[LAST]
        return list(zip(frames, hidden, strict=True))

    return encode


def differences(defined: list, made: list) -> dict[str, tuple[float, float]]:
    """Largest difference and mean cosine, for audio and text."""
    found = {}
    for kind, place in (("audio", 0), ("text", 1)):
        reference, values = (torch.cat([one[place] for one in each]) for each in (defined, made))
        cosine = torch.nn.functional.cosine_similarity(reference, values, dim=-1).mean()
        found[kind] = (float((reference - values).abs().max()), float(cosine))
    return found


def valid_operations(samples: int, tokens: int) -> float:
    """Multiplications and additions for the valid rows of one segment through HuBERT base and BERT base."""
    samples = min(samples, LONGEST)
    total, length, channels = 0.0, samples, 1
    for kernel, stride in zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), strict=True):
        length = (length - kernel) // stride + 1
        total += 2 * length * kernel * channels * 512
        channels = 512
    total += 2 * length * 512 * 768 + 2 * length * 768 * 48 * 128  # projection, positions
    for rows in (length, tokens):
        total += 12 * (2 * rows * 12 * 768**2 + 4 * rows**2 * 768)  # four d x d and two d x 4d products; attention
    return total


def largest_product(device: torch.device) -> float:
    """Operations per second of the fastest square bfloat16 matrix product."""
    best = 0.0
    for size in (4096, 8192, 12288):
        one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
        for _ in range(3):
            one @ other
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(10):
            one @ other
        torch.cuda.synchronize()
        best = max(best, 10 * 2 * size**3 / (time.perf_counter() - started))
    return best


if __name__ == "__main__":
    main()
