"""What holds of every network: one line in ``CASES`` is all that a further one needs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from msmt.errors import SettingError
from msmt.tests.train import cues, fake_network
from msmt.tests.train.made import SMALL, TASKS, TRAIN, calls, quiet, score, segment_store, store_of
from msmt.tests.train.test_binding import with_layers, with_vectors
from msmt.tests.train.test_loop import Interrupting, metrics, same_weights, weights
from msmt.tests.train.test_processes import go as in_processes
from msmt.train.assembly import answer, build, vectors
from msmt.train.config import NetworkSettings
from msmt.train.data import Recordings, batch_of, read_batch, recordings_of
from msmt.train.jobs import job_for
from msmt.train.loop import passes, train, train_together
from msmt.train.models import registry
from msmt.train.predict import predict
from msmt.train.rows import Rows
from msmt.train.runs import resolve
from safetensors.torch import load_file


@pytest.fixture(autouse=True, scope="module")
def with_a_fake():
    fake_network.known()
    yield
    fake_network.forgotten()


@dataclasses.dataclass(frozen=True)
class Case:
    """A network, small enough for a test."""

    name: str
    sizes: Mapping[str, object] = dataclasses.field(default_factory=dict)
    """Settings that make it small."""

    switches: tuple[Mapping[str, object], ...] = ()
    """Settings each of which changes what it says."""

    still: Mapping[str, object] = dataclasses.field(default_factory=dict)
    """Settings that leave chance out of training."""

    heeds_order: bool = True
    """Whether the order of a recording's segments matters to a label of the whole."""

    has_context: bool = True
    """Whether a segment's answer depends on others of its recording."""

    adds: Callable[[object], None] = lambda store: None
    """Puts features into a store that it needs beside text and audio, unless they are there."""

    beside: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """By modality the further slot that it fills."""

    hears_one: bool = False
    """Whether it hears one modality alone; ``sizes`` then say which, unless another is asked for."""


SMALL_GRU = {"width": 6, "gru_width": 5, "head_width": 12}
CASES = [
    Case("msmt-fn", SMALL, ({"pooling": "mean"}, {"bottleneck": False}), {"dropout": 0.0, "context_dropout": 0.0}),
    Case("linear", {}, ({"deviation": False},), heeds_order=False, has_context=False),
    Case("bigru", SMALL_GRU, ({"pooling": "mean"}, {"pooling": "cls"}, {"both_ways": False}), {"dropout": 0.0}),
    Case(
        "cm-roberta",
        {"width": 4, "feed_forward": 6, "head_width": 12},
        ({"attention": False}, {"join": "concat"}, {"attention_layers": 1}, {"heads": 2}),
    ),
    Case(
        "mmml",
        {"width": 8, "layers": 1, "heads": 2, "head_width": 6},
        ({"context": False}, {"layers": 2}),
        {"dropout": 0.0},
    ),
    Case(
        "emotional-cues",
        {
            "width": 8,
            "layers": 1,
            "heads": 2,
            "feed_forward": 12,
            "bridge": 2,
            "patch_bands": 2,
            "language_layers": cues.bert,
            "vision_layers": cues.vit,
        },
        (
            {"words": False},
            {"prosody": False},
            {"two_step": False},
            {"pooling": "attention"},
            {"turns": 1},
            {"blocks": 1},
        ),
        {"dropout": 0.0},
        adds=cues.added,
        beside={"text": "importance", "audio": "mel"},
    ),
    Case(
        "merits-stage1",
        {"hidden": 9, "width": 6, "modalities": "audio"},
        ({"width": 5},),
        {"dropout": 0.0},
        heeds_order=False,
        has_context=False,
        hears_one=True,
    ),
    Case(
        "merits-stage2",
        {"gru_width": 6, "heads": 2, "modalities": "audio"},
        ({"heads": 3}, {"gru_layers": 1}),
        {"dropout": 0.0},
        hears_one=True,
    ),
    Case(
        "merits-stage3",
        {"width": 6, "attention_width": 6, "heads": 2, "head_width": 12, "gru_width": 4},
        ({"co_attention": "simple"}, {"blocks": 1}, {"joint": True}),
        {"dropout": 0.0},
        heeds_order=False,
    ),
    Case("fake", {}, ({"listens": False},), heeds_order=False),
]


NAMED = {each.name: each for each in CASES}


def another_slot(case: Case) -> str:
    """What fills a slot of another name, where the network may have one."""
    return "more=egemaps" if registry.network_named(case.name).more_slots else ""


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request) -> Case:
    return request.param


def settings(case: Case, **changes) -> NetworkSettings:
    sizes = {name: value() if callable(value) else value for name, value in case.sizes.items()}
    return registry.settings_of(case.name)(**{**sizes, **changes})


def network(store, case: Case, seed: int = 0, slot: str = "", **changes):
    """The network for a store with weights from a seed, not in training; what it would measure first is left alone."""
    case.adds(store)
    job = job_for(store, settings(case, **changes), dataclasses.replace(TRAIN, slot=slot))
    torch.manual_seed(seed)
    return build(job.settings).eval(), job


def spoken(store):
    """The store with two speakers who take turns, and some that nobody knows."""
    names = np.array(["amy", "bob", "", "amy", "cid"], object)
    store.segments = store.segments.assign(speaker=names[np.arange(len(store.segments)) % 5])
    return store


def recordings(store, split: str = "train", job=None) -> Recordings:
    features = {name: name for name in job.settings.features} if job else {"roberta": "roberta", "hubert": "hubert"}
    return recordings_of(store, split, features)


def batch(given: Recordings, positions):
    made = read_batch(given, np.array(positions))
    rows = {name: Rows(each.values.float(), each.lengths) for name, each in made.features.items()}
    return batch_of(given, np.array(positions), rows)


def difference(one, other) -> float:
    return max((one[name] - other[name]).abs().max().item() for name in one)


def test_every_network_is_tried_here():
    assert set(registry.NETWORKS) <= set(NAMED)


@pytest.mark.parametrize("modalities", ["both", "text", "audio"])
@pytest.mark.parametrize("make", [calls, segment_store], ids=["recordings", "segments"])
def test_an_answer_does_not_depend_on_padding_or_on_what_else_is_in_the_batch(case, make, modalities):
    store = spoken(make())
    if case.hears_one and modalities == "both":
        for asked in ("both", "auto"):
            with pytest.raises(SettingError, match=r"choose modalities text or modalities audio \(--modalities\)"):
                network(store, case, modalities=asked)
        return
    net, job = network(store, case, modalities=modalities)
    given = recordings(store, job=job)
    positions = np.arange(min(len(given), 7))
    together = answer(net, batch(given, positions))
    for position in positions:
        alone = answer(net, batch(given, [position]))
        where = given.labelled(np.array([position]))
        assert difference(alone, {name: said[where] for name, said in together.items()}) < 1e-5


@pytest.mark.parametrize("in_context", [False, True])
def test_there_is_a_vector_per_segment_that_depends_on_its_own_recording_alone(case, in_context):
    store = spoken(calls())
    net, job = network(store, case)
    given = recordings(store, job=job)
    if in_context and not case.has_context:
        with pytest.raises(SettingError, match="no vectors of their context"):
            vectors(net, batch(given, [0]), in_context)
        return
    with torch.no_grad():
        together, alone = vectors(net, batch(given, [2, 5]), in_context), vectors(net, batch(given, [5]), in_context)
    assert together.shape == (len(given.rows[2]) + len(given.rows[5]), alone.shape[1])
    torch.testing.assert_close(together[len(given.rows[2]) :], alone, rtol=0, atol=1e-5)


def shuffled(given: Recordings, position: int) -> Recordings:
    rows = list(given.rows)
    rows[position] = rows[position][::-1]
    return dataclasses.replace(given, rows=tuple(rows))


def test_the_order_of_segments_matters_where_it_must(case):
    store = calls()
    net, job = network(store, case)
    given = recordings(store, job=job)
    position = next(i for i, rows in enumerate(given.rows) if len(rows) == 3)
    apart = difference(answer(net, batch(given, [position])), answer(net, batch(shuffled(given, position), [position])))
    assert apart > 1e-5 if case.heeds_order else apart < 1e-5


def test_a_segment_hears_of_later_ones_only_where_the_network_says_so(case):
    for changes in ({}, *case.switches):
        store = spoken(segment_store())
        net, job = network(store, case, **changes)
        given = recordings(store, job=job)
        position = next(i for i, rows in enumerate(given.rows) if len(rows) >= 3)
        before = answer(net, batch(given, [position]))
        last = given.rows[position][-1]
        for rows in store.features.values():
            rows[last] = rows[last] + np.float16(1)
        after = answer(net, batch(given, [position]))
        earlier = {name: said[:-1] for name, said in before.items()}
        apart = difference(earlier, {name: said[:-1] for name, said in after.items()})
        assert difference(before, after) > 1e-4
        assert apart > 1e-6 if registry.network_named(case.name).sees_future(job.settings.model) else apart == 0


def test_every_switch_changes_what_the_network_says_from_the_same_weights(case):
    store = spoken(calls())
    said = []
    unimodal = [{"modalities": modality} for modality in ("text", "audio") if modality != case.sizes.get("modalities")]
    for changes in ({}, *unimodal, *case.switches):
        net, job = network(store, case, **changes)
        base = network(store, case)[0].state_dict()
        own = net.state_dict()
        net.load_state_dict({n: base[n] if n in base and base[n].shape == v.shape else v for n, v in own.items()})
        given = recordings(store, job=job)
        said.append(answer(net, batch(given, range(5))))
    for i, one in enumerate(said):
        for other in said[:i]:
            assert difference(one, other) > 1e-5


def go(store, case: Case, folder, **config):
    case.adds(store)
    changes = {name: config.pop(name) for name in ("modalities", "mtl") if name in config}
    if config.get("resume"):
        return train(store, None, None, folder, score, resume=config["resume"], say=quiet)
    track = {"track": config.pop("track")} if "track" in config else {}
    say = config.pop("say", quiet)
    return train(
        store, settings(case, **changes), dataclasses.replace(TRAIN, **config), folder, score, say=say, **track
    )


def test_it_overfits_eight_recordings(case, tmp_path):
    labels, segments = [0, 1, 2, 3, 4, 0, 1, 2], [1, 2, 3, 1, 2, 3, 1, 2]
    store = store_of(labels * 2, ["train"] * 8 + ["val"] * 8, segments * 2)
    case.adds(store)
    for rows in store.features.values():  # validation repeats training, so that its figures tell
        rows[sum(segments) :] = rows[: sum(segments)]
    config = dataclasses.replace(
        TRAIN, epochs=80, patience=0, batch_recordings=4, accumulation=1, learning_rate=2e-2, schedule="constant"
    )
    trained = train(store, settings(case, **case.still), config, tmp_path, score, say=quiet)
    assert all(trained.best[f"val/{task.name}/accuracy"] == 1.0 for task in TASKS)


@pytest.mark.parametrize("modalities", ["text", "audio"])
def test_its_unimodal_forms_need_no_features_of_the_other_modality(case, tmp_path, modalities):
    store = calls()
    other = {"text": "hubert", "audio": "roberta"}[modalities]
    del store.specs[other], store.features[other]
    asked = go(store, case, tmp_path, epochs=1, modalities=modalities)
    found = go(store, case, tmp_path, epochs=1, modalities="auto")
    filled = [modalities, *([case.beside[modalities]] if case.beside else [])]
    assert list(asked.run.settings.slots) == filled and metrics(asked) == metrics(found)


def test_it_resumes_to_what_was_never_interrupted(case, tmp_path):
    store = with_vectors()
    whole = go(store, case, tmp_path / "whole", slot=another_slot(case))
    cut = go(store, case, tmp_path / "cut", track=Interrupting(2, 5), slot=another_slot(case))
    assert cut.status == "interrupted"
    resumed = go(store, case, tmp_path / "cut", resume=cut.run.name)
    assert metrics(resumed) == metrics(whole) and same_weights(weights(resumed), weights(whole))


def test_it_answers_from_its_directory_as_it_did_in_training(case, tmp_path):
    store = with_vectors()
    trained = go(store, case, tmp_path, slot=another_slot(case), epochs=2)
    store = with_vectors()
    case.adds(store)
    prediction = predict(trained.run.path, store, "val")
    figures = score(TASKS, prediction.labels, prediction.outputs)
    assert all(trained.best[f"val/{name}"] == pytest.approx(value) for name, value in figures.items())


def test_it_trains_in_bfloat16_to_about_the_same(case, tmp_path):
    halved, whole = (metrics(go(calls(), case, tmp_path, epochs=1, precision=p))[0] for p in ("bfloat16", "float32"))
    assert halved["val_loss"] == pytest.approx(whole["val_loss"], rel=0.05)


def test_networks_mix_in_one_pass_and_each_is_bit_for_bit_what_it_is_alone(tmp_path):
    store = with_layers()
    random = np.random.default_rng(3)
    store.specs["egemaps"] = with_vectors().specs["egemaps"]
    store.features["egemaps"] = [random.standard_normal((1, 5)).astype(np.float32) for _ in store.segments.index]
    layer, layers = "audio=hubert-layer6", "audio=hubert-layer*"
    wanted = [("msmt-fn", layer), ("msmt-fn", layers), ("linear", layers)]
    wanted += [("bigru", f"{layer},more=egemaps"), ("fake", "text=,audio=egemaps")]
    jobs = [
        job_for(store, settings(NAMED[name]), dataclasses.replace(TRAIN, name=f"{number}-{name}", slot=slot))
        for number, (name, slot) in enumerate(wanted)
    ]
    assert passes(jobs, together=9) == [list(range(len(jobs)))]
    together = train_together(store, jobs, tmp_path / "together", score, say=quiet)
    for trained, job in zip(together, jobs, strict=True):
        alone = train(store, job.settings.model, job.settings.train, tmp_path / "alone", score, say=quiet)
        assert metrics(trained) == metrics(alone)
        assert same_weights(weights(trained), weights(alone))
    assert len({str(metrics(trained)) for trained in together}) == len(jobs)


def test_a_pass_reads_each_feature_once_whoever_uses_it(tmp_path):
    def rows_seen(models) -> int:
        store = calls()
        jobs = [job_for(store, settings(NAMED[name]), dataclasses.replace(TRAIN, epochs=1)) for name in models]
        store.seen.clear()
        train_together(store, jobs, tmp_path, score, say=quiet)
        return len(store.seen)

    assert rows_seen(["msmt-fn", "bigru", "fake"]) == rows_seen(["msmt-fn"])


PROGRAM = """
import dataclasses, sys
from msmt.tests.train.made import TRAIN, score
from msmt.tests.train.test_binding import with_vectors
from msmt.tests.train import fake_network
from msmt.tests.train.test_networks import NAMED, another_slot, settings
from msmt.train.loop import train
fake_network.known()
case = NAMED[sys.argv[2]]
config = dataclasses.replace(TRAIN, batch_recordings=2, accumulation=3, learning_rate=1e-3, slot=another_slot(case))
store = with_vectors()
case.adds(store)
trained = train(store, settings(case), config, sys.argv[1], score, say=lambda line: print(line))
"""


@pytest.mark.parametrize("name", sorted(NAMED.keys() - {"msmt-fn"}))  # test_processes.py has it of msmt-fn
def test_two_processes_learn_what_one_learns(tmp_path, name):
    for folder, processes in (("one", 1), ("two", 2)):
        in_processes(tmp_path / folder, processes, name, PROGRAM)
    one, two = resolve(tmp_path / "one"), resolve(tmp_path / "two")
    for alone, shared in zip(*(run.path.joinpath("metrics.jsonl").read_text().splitlines() for run in (one, two))):
        assert json.loads(shared)["train_loss"] == pytest.approx(json.loads(alone)["train_loss"], rel=1e-4)
    first, second = (load_file(run.path / "best.safetensors") for run in (one, two))
    for weight, value in first.items():
        torch.testing.assert_close(second[weight], value, rtol=1e-3, atol=1e-3)


def test_a_network_that_asks_is_told_who_speaks_within_each_recording():
    store = spoken(calls())
    given = recordings(store)
    (two,) = [i for i, rows in enumerate(given.rows) if len(rows) == 3][:1]
    store.segments.loc[given.rows[two], "speaker"] = ["zoe", "", "amy"]
    assert recordings(store).speakers_at(np.array([two])).tolist() == [0, -1, 1]
    net, job = network(store, NAMED["fake"])
    asked = batch(recordings(store, job=job), [two])
    store.segments.loc[given.rows[two], "speaker"] = ["zoe", "zoe", "zoe"]
    same = batch(recordings(store, job=job), [two])
    assert difference(answer(net, asked), answer(net, same)) > 1e-4


def test_losses_of_single_slots_count_in_training_by_their_weight(tmp_path):
    lines = {}
    for beside in (0.0, 0.5, 1.0):
        config = dataclasses.replace(TRAIN, epochs=1, learning_rate=1e-12, batch_recordings=13, accumulation=1)
        trained = train(calls(), settings(NAMED["fake"], beside=beside), config, tmp_path, score, say=quiet)
        lines[beside] = metrics(trained)[0]
    losses = {beside: line["train_loss"] for beside, line in lines.items()}
    assert losses[1.0] - losses[0.0] == pytest.approx(2 * (losses[0.5] - losses[0.0]), rel=1e-4)
    assert losses[0.5] > losses[0.0]
    assert len({round(line["val_loss"], 5) for line in lines.values()}) == 1  # judged by its answers alone
