"""The stages of MERITS-L against what the sources say, written down once more for padded dialogues."""

from __future__ import annotations

import math

import pytest
import torch
from msmt.errors import SettingError
from msmt.features.tasks import Task
from msmt.train.models import merits_stage1, merits_stage2, merits_stage3
from msmt.train.models.contract import SlotInput
from msmt.train.models.merits_stage1 import MeritsStage1Settings
from msmt.train.models.merits_stage2 import MeritsStage2Settings
from msmt.train.models.merits_stage3 import MeritsStage3Settings
from msmt.train.rows import Rows

EMOTION = Task("emotion", ("calm", "angry", "sad"), "segment")
SEGMENTS = (4, 1, 3)
WIDTHS = {"text": 7, "audio": 5}


def made(module, settings, widths=WIDTHS):
    torch.manual_seed(0)
    return module.build(settings, [EMOTION], {n: SlotInput(width, 1, "vector") for n, width in widths.items()}).eval()


def dialogues(widths=WIDTHS) -> dict[str, Rows]:
    random = torch.Generator().manual_seed(1)
    rows = sum(SEGMENTS)
    return {name: Rows(torch.randn(rows, width, generator=random), (1,) * rows) for name, width in widths.items()}


def padded(vectors: torch.Tensor) -> torch.Tensor:
    """(S, d) -> (R, most segments, d), with what must not matter where there is no segment."""
    grid = torch.full((len(SEGMENTS), max(SEGMENTS), vectors.shape[1]), 100.0)
    for dialogue, each in enumerate(vectors.split(SEGMENTS)):
        grid[dialogue, : len(each)] = each
    return grid


def unpadded(grid: torch.Tensor) -> torch.Tensor:
    return torch.cat([each[:count] for each, count in zip(grid, SEGMENTS, strict=True)])


def attention(queries, keys, values, heads: int):
    """Of padded dialogues: what is padding is not asked."""
    mask = torch.arange(max(SEGMENTS)) >= torch.tensor(SEGMENTS)[:, None]
    size, found = queries.shape[2] // heads, []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = queries[..., part] @ keys[..., part].transpose(1, 2) / math.sqrt(size)
        found.append(scores.masked_fill(mask[:, None, :], -torch.inf).softmax(dim=2) @ values[..., part])
    return torch.cat(found, dim=2)


def plain_context(context, vectors: torch.Tensor, heads: int) -> torch.Tensor:
    """Stage II: Bi-GRU, norm, self-attention with residual and norm."""
    lengths = torch.tensor(SEGMENTS)
    packed = torch.nn.utils.rnn.pack_padded_sequence(padded(vectors), lengths, batch_first=True, enforce_sorted=False)
    read, _ = torch.nn.utils.rnn.pad_packed_sequence(context.gru(packed)[0], batch_first=True)
    read = context.norm(read)
    block = context.attention
    keys, values = block.key_value(read).chunk(2, dim=2)
    return unpadded(block.norm(read + block.out(attention(block.query(read), keys, values, heads))))


def plain_stage_3(net, vectors, settings) -> torch.Tensor:
    """Projections, blocks, [T', A', T, A], a hidden layer, and the classes."""
    if settings.joint:
        vectors = {n: plain_context(net.contexts[n], each, settings.context_heads) for n, each in vectors.items()}
    before = {name: padded(net.projections[name](each)) for name, each in vectors.items()}
    heads, after = settings.sizes["heads"], dict(before)

    def asked(block, x, y):
        return block.norm(x + block.out(attention(block.query(x), block.key(y), block.value(y), heads)))

    for block in net.blocks:
        text, audio = after["text"], after["audio"]
        after = {"text": asked(block.cross["text"], text, audio), "audio": asked(block.cross["audio"], audio, text)}
        if settings.co_attention == "block":
            after = {name: asked(block.own[name], each, each) for name, each in after.items()}
    joined = torch.cat([after["text"], after["audio"], before["text"], before["audio"]], dim=2)
    return net.heads[0](net.hidden(unpadded(joined)).clamp(min=0))


def weights_in(net) -> int:
    return sum(each.numel() for each in net.parameters())


class TestStage1:
    def test_logits_are_those_of_two_linear_layers_and_one_of_classes(self):
        settings = MeritsStage1Settings(hidden=6, width=4)
        net, slots = made(merits_stage1, settings, {"audio": 5, "pooled": 3}), dialogues({"audio": 5, "pooled": 3})
        with torch.no_grad():
            x = torch.cat([slots["audio"].values, slots["pooled"].values], dim=1)
            first, last = net.embedding[0], net.embedding[2]
            embeddings = (x @ first.weight.T + first.bias) @ last.weight.T + last.bias
            torch.testing.assert_close(net.segment_vectors(slots), embeddings, rtol=0, atol=1e-5)
            torch.testing.assert_close(net(slots, SEGMENTS)["emotion"], net.heads[0](embeddings), rtol=0, atol=1e-5)

    def test_frames_are_averaged(self):
        net, rows = made(merits_stage1, MeritsStage1Settings(hidden=6, width=4), {"audio": 5}), torch.randn(5, 5)
        frames = net.segment_vectors({"audio": Rows(rows, (3, 2))})
        means = torch.stack([rows[:3].mean(dim=0), rows[3:].mean(dim=0)])
        torch.testing.assert_close(frames, net.segment_vectors({"audio": Rows(means, (1, 1))}))

    def test_on_care_it_is_as_large_as_the_head_of_its_code(self):
        net = made(merits_stage1, MeritsStage1Settings(), {"audio": 1536, "pooled": 768})
        # fc 768·3 -> 768, fc_1 768 -> 256, out 256 -> classes; the 13 weights of layers are the slot's.
        assert weights_in(net) == 1_770_240 + 196_864 + 256 * 3 + 3

    def test_text_beside_audio_is_refused(self):
        with pytest.raises(SettingError, match="hears one modality, but text is filled beside pooled"):
            made(merits_stage1, MeritsStage1Settings(modalities="text"), {"text": 4, "pooled": 3})


class TestStage2:
    def test_logits_are_those_of_padded_dialogues(self):
        net = made(merits_stage2, MeritsStage2Settings(gru_width=6, heads=3), {"text": 7})
        slots = dialogues({"text": 7})
        with torch.no_grad():
            wanted = plain_context(net.context, slots["text"].values, heads=3)
            torch.testing.assert_close(net.context_vectors(slots, SEGMENTS), wanted, rtol=0, atol=1e-5)
            torch.testing.assert_close(net(slots, SEGMENTS)["emotion"], net.heads[0](wanted), rtol=0, atol=1e-5)

    def test_it_is_as_large_as_its_sizes_say_and_stage_3_needs_no_projection(self):
        net = made(merits_stage2, MeritsStage2Settings(), {"text": 256})
        gru = 2 * (3 * 512 * (256 + 512 + 2)) + 2 * (3 * 512 * (1024 + 512 + 2))
        assert weights_in(net) == gru + 2 * 1024 + 4 * (1024 * 1024 + 1024) + 2 * 1024 + 1024 * 3 + 3
        assert net.context_vectors(dialogues({"text": 256}), SEGMENTS).shape == (8, 1024)


class TestStage3:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"blocks": 3},
            {"heads": 1},
            {"width": 5},
            {"co_attention": "simple"},
            {"joint": True, "gru_width": 4, "context_heads": 2},
        ],
        ids=str,
    )
    def test_logits_are_those_of_padded_dialogues(self, changes):
        settings = MeritsStage3Settings(**{"width": 8, "attention_width": 6, "heads": 2, "head_width": 9, **changes})
        net, slots = made(merits_stage3, settings), dialogues()
        with torch.no_grad():
            wanted = plain_stage_3(net, {name: rows.values for name, rows in slots.items()}, settings)
            torch.testing.assert_close(net(slots, SEGMENTS)["emotion"], wanted, rtol=0, atol=1e-5)

    def test_it_is_as_large_as_the_authors_blocks_on_vectors_of_stage_2(self):
        net = made(merits_stage3, MeritsStage3Settings(), {"text": 1024, "audio": 1024})
        attention_of_120 = 3 * (1024 * 120 + 120) + (120 * 1024 + 1024) + 2 * 1024
        assert weights_in(net) == 4 * 4 * attention_of_120 + (4 * 1024 * 256 + 256) + 256 * 3 + 3
        simple = made(merits_stage3, MeritsStage3Settings(co_attention="simple"), {"text": 1024, "audio": 1024})
        attention_of_256 = 4 * (256 * 256 + 256) + 2 * 256
        projections = 2 * (1024 * 256 + 256)
        assert weights_in(simple) == projections + 2 * attention_of_256 + (4 * 256 * 256 + 256) + 256 * 3 + 3

    def test_joint_is_stage_2_and_stage_3_on_embeddings(self):
        joint = made(merits_stage3, MeritsStage3Settings(joint=True), {"text": 256, "audio": 256})
        apart = made(merits_stage3, MeritsStage3Settings(), {"text": 1024, "audio": 1024})
        context = made(merits_stage2, MeritsStage2Settings(), {"text": 256}).context
        assert weights_in(joint) == weights_in(apart) + 2 * weights_in(context)

    @pytest.mark.parametrize(
        "changes, said",
        [
            ({"heads": 7}, "heads must divide attention_width 120, but are 7"),
            ({"gru_width": 3, "context_heads": 4}, "context_heads must divide twice the gru_width 3, but are 4"),
            ({"blocks": 300}, "blocks must be at most 256"),
        ],
    )
    def test_sizes_that_do_not_fit_are_refused(self, changes, said):
        with pytest.raises(SettingError, match=said):
            MeritsStage3Settings(**changes)
