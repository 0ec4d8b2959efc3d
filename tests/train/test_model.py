"""The network: what its outputs depend on, what each switch does, and the equations on small cases."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from msmt.errors import SettingError
from msmt.tests.train.made import EMOTION, FIVE, MODEL, MOST_ROWS, TASKS, WIDTH, spec
from msmt.train.config import CHOICES, ModelConfig
from msmt.train.learner import compile_rows
from msmt.train.models import layers as layers_module
from msmt.train.models.contract import SlotInput
from msmt.train.models.layers import FlattenPooling
from msmt.train.models.msmt_fn import Audio, BottleneckFusion, CrossAttention, build
from msmt.train.rows import Layout, Rows, attend, attend_one_by_one, attend_padded

CPU = torch.device("cpu")
SPECS = {"text": spec("text"), "audio": spec("audio")}
LENGTHS = {"text": (3, 9, 2, 5, 4, 7), "audio": (11, 6, 23, 1, 17, 9)}
COUNTS = (2, 1, 3)


def network(tasks=TASKS, specs=SPECS, seed: int = 0, **changes):
    """A small network that is not in training; modalities follow from the specs."""
    torch.manual_seed(seed)
    config = dataclasses.replace(MODEL, **changes)
    needed = (config.modalities,) if config.modalities in ("text", "audio") else ("text", "audio")
    return build(config, tasks, {name: SlotInput.of(specs[name]) for name in needed}).eval()


def features(lengths=None, seed: int = 1, widths=None) -> dict[str, Rows]:
    made = torch.Generator().manual_seed(seed)
    return {
        modality: Rows(torch.randn(sum(each), (widths or {}).get(modality, WIDTH), generator=made), tuple(each))
        for modality, each in (lengths or LENGTHS).items()
    }


def only(rows: dict[str, Rows], segments: list[int]) -> dict[str, Rows]:
    """The same rows, of some segments only and in that order."""
    picked = {}
    for modality, each in rows.items():
        parts = each.values.split(each.lengths)
        picked[modality] = Rows(torch.cat([parts[i] for i in segments]), tuple(each.lengths[i] for i in segments))
    return picked


def largest_difference(one: dict, other: dict) -> float:
    return max((one[name] - other[name]).abs().max().item() for name in one)


def parameters(module) -> set[str]:
    return {name for name, _ in module.named_parameters()}


@pytest.fixture(params=["one by one", "padded"])
def way(request, monkeypatch):
    """Both ways to attend, whatever the device would choose."""
    monkeypatch.setattr(
        layers_module, "attend", {"one by one": attend_one_by_one, "padded": attend_padded}[request.param]
    )


@pytest.mark.parametrize("pooling", CHOICES["pooling"])
@pytest.mark.parametrize("modalities", ["both", "text", "audio"])
def test_a_recordings_logits_do_not_depend_on_its_batch_or_on_padding(way, pooling, modalities):
    net, rows = network(pooling=pooling, modalities=modalities), features()
    together = net(rows, COUNTS)
    for recording, segments in enumerate([[0, 1], [2], [3, 4, 5]]):
        alone = net(only(rows, segments), [len(segments)])
        own = {name: logits[recording : recording + 1] for name, logits in together.items()}
        assert largest_difference(alone, own) < 1e-5


@pytest.mark.parametrize("bottleneck", [True, False])
def test_both_ways_to_attend_give_the_same_logits_and_gradients(monkeypatch, bottleneck):
    results = []
    for attend_so in (attend_one_by_one, attend_padded):
        monkeypatch.setattr(layers_module, "attend", attend_so)
        net = network(bottleneck=bottleneck)
        logits = net(features(), COUNTS)
        sum(each.square().sum() for each in logits.values()).backward()
        results.append((logits, {name: value.grad for name, value in net.named_parameters()}))
    assert largest_difference(results[0][0], results[1][0]) < 1e-5
    assert largest_difference(results[0][1], results[1][1]) < 1e-4


def test_attention_of_equal_segments_needs_no_mask():
    layout = Layout((4, 4, 4), CPU)
    rows = torch.randn(12, WIDTH)
    assert not layout.has_padding
    padded = attend_padded(rows, rows, rows, 2, layout, layout)
    assert torch.allclose(padded, attend(rows, rows, rows, 2, layout, layout), atol=1e-6)


def test_shuffling_the_segments_of_a_recording_changes_its_logits():
    net, rows = network(), features()
    assert largest_difference(net(rows, [6]), net(only(rows, [1, 0, 2, 3, 4, 5]), [6])) > 1e-4


def test_without_context_the_order_of_segments_does_not_matter():
    net, rows = network(context=False), features()
    assert largest_difference(net(rows, [6]), net(only(rows, [5, 0, 2, 3, 4, 1]), [6])) < 1e-5


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_logits_depend_on_each_modality(modality):
    net, rows, other = network(), features(), features(seed=2)
    assert largest_difference(net(rows, COUNTS), net({**rows, modality: other[modality]}, COUNTS)) > 1e-4


def test_a_recording_of_forty_segments_is_read_as_one():
    lengths = {"text": [2 + i % 7 for i in range(40)], "audio": [1 + i % 20 for i in range(40)]}
    net, rows = network(), features(lengths)
    logits = net(rows, [40])
    assert logits["five"].shape == (1, 5)
    last_changed = only(rows, [*range(39), 38])
    assert largest_difference(logits, net(last_changed, [40])) > 1e-5


def test_outputs_are_named_and_have_a_number_per_class():
    logits = network()(features(), COUNTS)
    assert {name: tuple(each.shape) for name, each in logits.items()} == {
        "five": (3, 5),
        "four": (3, 4),
        "three": (3, 3),
        "two": (3, 2),
    }


def test_a_task_of_segments_has_an_output_for_each_segment_and_context_reaches_it():
    net, rows = network(tasks=(EMOTION,)), features()
    together = net(rows, COUNTS)["emotion"]
    assert together.shape == (6, 2)
    apart = net(rows, [1] * 6)["emotion"]
    assert torch.allclose(together[2], apart[2], atol=1e-5)  # the only segment of its recording
    assert not torch.allclose(together[0], apart[0], atol=1e-4)


def test_segment_outputs_stay_with_their_segments_when_recordings_change_places():
    net, rows = network(tasks=(EMOTION,)), features()
    moved = net(only(rows, [3, 4, 5, 0, 1, 2]), [3, 2, 1])["emotion"]
    assert torch.allclose(net(rows, COUNTS)["emotion"], moved[[3, 4, 5, 0, 1, 2]], atol=1e-5)


def test_no_mtl_only_leaves_out_the_coarser_heads():
    assert parameters(network()) - parameters(network(tasks=(FIVE,))) == {
        f"heads.{i}.{layer}.{kind}" for i in (1, 2, 3) for layer in (1, 3) for kind in ("weight", "bias")
    }


def test_no_bottleneck_only_leaves_out_the_fusion_and_averages_the_streams():
    full, without = network(), network(bottleneck=False)
    left_out = parameters(full) - parameters(without)
    assert left_out and all(name.startswith("fusion.") for name in left_out)
    assert parameters(without) < parameters(full)

    seen = {}
    without.self_attention[-1].register_forward_hook(lambda module, given, made: seen.update(text=made))
    without.complementary[-1].register_forward_hook(lambda module, given, made: seen.update(complementary=made))
    without.pooling.register_forward_pre_hook(lambda module, given: seen.update(pooled=given[0]))
    without(features(), COUNTS)
    assert torch.allclose(seen["pooled"], (seen["text"] + seen["complementary"]) / 2)


def seen_by_pooling(net) -> dict:
    """What the network's own parts made of the features, and what the pooling was given of it."""
    seen = {}
    source = net.fusion.layers[-1] if net.fusion else None
    if source is not None:
        source.register_forward_hook(lambda module, given, made: seen.update(made._asdict()))
    else:
        net.complementary[-1].register_forward_hook(lambda module, given, made: seen.update(complementary=made))
    net.pooling.register_forward_pre_hook(lambda module, given: seen.update(pooled=given[0]))
    net(features(), COUNTS)
    return seen


VECTORS = [
    {"segment_vector": "text"},
    {"segment_vector": "complementary"},
    {"segment_vector": "complementary", "bottleneck": False},
]


@pytest.mark.parametrize("pooling", CHOICES["pooling"])
@pytest.mark.parametrize("switches", VECTORS)
def test_the_segment_vector_is_made_of_the_stream_that_is_named(switches, pooling):
    seen = seen_by_pooling(network(pooling=pooling, **switches))
    assert torch.equal(seen["pooled"], seen[switches["segment_vector"]])


@pytest.mark.parametrize(
    "switches", [*VECTORS, *({**vector, "shared_bottleneck": True} for vector in ({}, *VECTORS[:2]))]
)
def test_a_stream_that_is_not_read_in_the_end_has_no_weights_that_never_learn(switches):
    net = network(pooling="flatten", **switches)
    sum(each.square().sum() for each in net(features(), COUNTS).values()).backward()
    assert [name for name, value in net.named_parameters() if value.grad is None or not value.grad.any()] == []


@pytest.mark.parametrize("modality", ["text", "audio"])
@pytest.mark.parametrize("switches", VECTORS)
def test_whichever_stream_is_read_both_modalities_reach_the_logits(switches, modality):
    net, rows, other = network(**switches), features(), features(seed=2)
    assert largest_difference(net(rows, COUNTS), net({**rows, modality: other[modality]}, COUNTS)) > 1e-5


def test_segment_vector_only_leaves_out_what_is_not_read_of_the_last_layer():
    full = parameters(network())
    for vector, other in (("text", "complementary"), ("complementary", "text")):
        own = parameters(network(segment_vector=vector))
        assert own < full and {name[: len("fusion.layers.1.")] for name in full - own} == {"fusion.layers.1."}
        assert all(name.startswith(f"fusion.layers.1.{other}.") for name in full - own)


def test_a_shared_bottleneck_only_has_one_transformer_for_both_streams():
    own, shared = parameters(network()), parameters(network(shared_bottleneck=True))
    assert {name.replace(".shared.", ".text.") for name in shared} | {
        name.replace(".shared.", ".complementary.") for name in shared
    } == own
    assert all(".shared." in name for name in shared - own)


SWITCHES = {
    "no-bottleneck": {"bottleneck": False},
    "text": {"modalities": "text"},
    "audio": {"modalities": "audio"},
    "no-context": {"context": False},
    **{f"pooling {name}": {"pooling": name} for name in CHOICES["pooling"] if name != MODEL.pooling},
    "text vector": {"segment_vector": "text"},
    "complementary vector": {"segment_vector": "complementary"},
    "complementary vector without bottleneck": {"segment_vector": "complementary", "bottleneck": False},
    "shared bottleneck": {"shared_bottleneck": True},
    "shared bottleneck and text vector": {"shared_bottleneck": True, "segment_vector": "text"},
}


def test_every_switch_changes_what_the_network_says_from_the_same_weights():
    """Weights that two variants share, by name and shape, are made equal, so that what differs is due to the switch."""
    said = {}
    base = network().state_dict()
    for name, changes in {"full": {}, **SWITCHES}.items():
        net = network(**changes)
        weights = net.state_dict()
        for own in weights:
            source = base.get(own.replace(".shared.", ".text."))
            weights[own] = source if source is not None and source.shape == weights[own].shape else weights[own]
        net.load_state_dict(weights)
        said[name] = net(features(), COUNTS)
    for one in said:
        for other in said:
            assert one == other or largest_difference(said[one], said[other]) > 1e-5, (one, other)


@pytest.mark.parametrize("modality, other", [("text", "audio"), ("audio", "text")])
def test_one_modality_only_leaves_out_the_other_and_the_fusion(modality, other):
    left_out = parameters(network()) - parameters(network(modalities=modality))
    assert {name.split(".")[0] for name in left_out} == {"complementary", "fusion", "cls"}
    assert [name for name in left_out if name.startswith("cls.")] == [f"cls.{other}"]


def test_no_context_only_replaces_the_gru():
    changed = parameters(network()) ^ parameters(network(context=False))
    assert changed and all(name.startswith("context.gru.") for name in changed)


@pytest.mark.parametrize("pooling", CHOICES["pooling"])
def test_pooling_only_changes_the_pooling(pooling):
    assert all(name.startswith("pooling.") for name in parameters(network()) ^ parameters(network(pooling=pooling)))


@pytest.mark.parametrize(
    "size, part",
    [
        ({"complementary_layers": 3}, "complementary.2."),
        ({"text_layers": 2}, "self_attention.1."),
        ({"bottleneck_layers": 3}, "fusion.layers.2."),
        ({"gru_layers": 3}, "context.gru."),
    ],
)
def test_each_depth_adds_layers_where_it_says(size, part):
    added = parameters(network(**size)) - parameters(network())
    assert added and all(name.startswith(part) for name in added)


@pytest.mark.parametrize(
    "size, part",
    [
        ({"feed_forward": 20}, "feed_forward."),
        ({"bottleneck_tokens": 5}, "fusion.tokens"),
        ({"gru_width": 7}, "context."),
        ({"head_width": 13}, "heads."),
    ],
)
def test_each_size_changes_shapes_where_it_says(size, part):
    shapes = {name: value.shape for name, value in network().named_parameters()}
    changed = [name for name, value in network(**size).named_parameters() if value.shape != shapes[name]]
    assert changed and all(part in name for name in changed)


def test_features_of_another_width_are_projected():
    specs = {"text": spec("text", 10), "audio": spec("audio", 6)}
    rows = features(widths={"text": 10, "audio": 6})
    own = network(specs=specs)
    assert {name for name in parameters(own) if "projection" in name} == {
        "projection.audio.weight",
        "projection.audio.bias",
    }
    narrow = network(specs=specs, width=4)
    assert own(rows, COUNTS)["five"].shape == narrow(rows, COUNTS)["five"].shape == (3, 5)
    assert narrow.cls["text"].shape == (1, 4)


def test_heads_must_divide_the_width_of_the_features():
    with pytest.raises(SettingError, match="heads must divide the width, but 3 does not divide 8"):
        network(heads=3)


def test_every_weight_learns():
    net = network(pooling="flatten")
    sum(each.square().sum() for each in net(features(), COUNTS).values()).backward()
    assert [name for name, value in net.named_parameters() if value.grad is None or not value.grad.any()] == []


def test_each_complementary_layer_feeds_the_next():
    net = network(complementary_layers=3)
    inputs, outputs = [], []
    for layer in net.complementary:
        layer.register_forward_hook(lambda module, given, made: inputs.append(given[0]) or outputs.append(made))
    net(features(), COUNTS)
    assert inputs[1] is outputs[0] and inputs[2] is outputs[1]


def test_dropout_is_at_work_in_training_only():
    net, rows = network(), features()
    assert largest_difference(net(rows, COUNTS), net(rows, COUNTS)) == 0
    net.train()
    assert largest_difference(net(rows, COUNTS), net(rows, COUNTS)) > 1e-3


def test_flatten_pooling_is_a_linear_layer_over_all_positions_padded_with_zeros():
    torch.manual_seed(0)
    pooling = FlattenPooling(width=4, positions=6)
    torch.nn.init.normal_(pooling.bias)
    stream, layout = torch.randn(5, 4), Layout((2, 3), CPU)
    padded = torch.zeros(2, 6, 4)
    padded[0, :2], padded[1, :3] = stream[:2], stream[2:]
    assert torch.allclose(pooling(stream, layout), padded.flatten(1) @ pooling.weight + pooling.bias, atol=1e-6)


# The equations once more, in plain numpy and one segment at a time.


def layer_norm(rows, norm):
    centred = rows - rows.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + norm.eps)
    return scaled * norm.weight.detach().numpy() + norm.bias.detach().numpy()


def linear(rows, layer):
    return rows @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def attention(rows, over, block):
    """Equation 1 for each head, with the residual and the norm after it."""
    queries = linear(rows, block.query)
    keys, values = np.split(linear(over, block.key_value), 2, axis=1)
    size = rows.shape[1] // block.heads
    answers = []
    for start in range(0, rows.shape[1], size):
        one = slice(start, start + size)
        weights = np.exp(queries[:, one] @ keys[:, one].T / np.sqrt(size))
        answers.append(weights / weights.sum(axis=1, keepdims=True) @ values[:, one])
    return layer_norm(rows + linear(np.concatenate(answers, axis=1), block.out), block.norm)


def transformer(rows, layer):
    rows = attention(rows, rows, layer.self_attention)
    inner = np.maximum(linear(rows, layer.feed_forward.inner), 0)
    return layer_norm(rows + linear(inner, layer.feed_forward.out), layer.feed_forward.norm)


@pytest.mark.parametrize("shared", [False, True])
def test_bottleneck_layers_follow_equations_3_to_5(way, shared):
    torch.manual_seed(3)
    fusion = BottleneckFusion(width=4, heads=2, feed_forward=6, layers=2, tokens=2, dropout=0.3, shared=shared).eval()
    torch.nn.init.normal_(fusion.tokens)
    lengths = (3, 1, 4)
    text, complementary = torch.randn(8, 4), torch.randn(8, 4)
    got = fusion(text, complementary, Layout(lengths, CPU))

    start = 0
    for segment, length in enumerate(lengths):
        own = slice(start, start + length)
        t, m, z = text[own].numpy(), complementary[own].numpy(), fusion.tokens.detach().numpy()
        for layer in fusion.layers:
            of_text, of_complementary = (layer.shared, layer.shared) if shared else (layer.text, layer.complementary)
            from_text = transformer(np.concatenate([t, z]), of_text)  # eq. 3
            from_complementary = transformer(np.concatenate([m, z]), of_complementary)  # eq. 4
            t, m = from_text[:length], from_complementary[:length]
            z = (from_text[length:] + from_complementary[length:]) / 2  # eq. 5
        np.testing.assert_allclose(got.text[own].detach(), t, atol=1e-5)
        np.testing.assert_allclose(got.complementary[own].detach(), m, atol=1e-5)
        np.testing.assert_allclose(got.bottleneck[2 * segment : 2 * segment + 2].detach(), z, atol=1e-5)
        start += length


def test_cross_attention_asks_the_cls_vector_and_the_audio(way):
    torch.manual_seed(4)
    block = CrossAttention(width=4, heads=2, dropout=0.3).eval()
    cls, sound = torch.randn(1, 4), (torch.randn(3, 4), torch.randn(1, 4))
    none = torch.zeros(1, 4)
    audio = Audio(torch.cat([none, sound[0], none, sound[1]]), Layout((4, 2), CPU), cls)
    stream = torch.randn(5, 4)
    got = block(stream, Layout((2, 3), CPU), audio).detach()
    for own, heard in ((slice(0, 2), sound[0]), (slice(2, 5), sound[1])):
        expected = attention(stream[own].numpy(), torch.cat([cls, heard]).numpy(), block)
        np.testing.assert_allclose(got[own], expected, atol=1e-5)


def test_bfloat16_gives_about_the_same_logits():
    net, rows = network(), features()
    with torch.autocast("cpu", torch.bfloat16):
        halved = net(rows, COUNTS)
    assert halved["five"].dtype == torch.float32
    assert largest_difference(halved, net(rows, COUNTS)) < 0.1


def test_compiled_blocks_keep_their_names_and_values_whatever_the_number_of_rows():
    plain, compiled = network(), network()
    compile_rows(compiled, backend="eager")
    assert plain.state_dict().keys() == compiled.state_dict().keys()
    for segments in ([0, 1, 2], [0, 1, 2, 3, 4, 5]):
        rows, counts = only(features(), segments), {3: (2, 1), 6: COUNTS}[len(segments)]
        assert largest_difference(plain(rows, counts), compiled(rows, counts)) < 1e-6


def test_the_default_sizes_are_the_papers():
    config = ModelConfig()
    assert (config.complementary_layers, config.bottleneck_layers, config.bottleneck_tokens) == (4, 2, 4)
    assert (config.gru_layers, config.gru_width, config.dropout) == (2, 128, 0.3)
    assert network(pooling="flatten").pooling.weight.shape == ((MOST_ROWS["text"] + 1) * WIDTH, WIDTH)
