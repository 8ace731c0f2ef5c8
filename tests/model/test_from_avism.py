"""AVISM's weights in the causal network's place: what the offline network says of the past."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from reference_weights import full_state, tensor
from test_avism import TINY
from test_avism import network as tiny_avism
from torch import Tensor

from streamavis.audio.vggish import VGGish
from streamavis.checkpoint import avism_from_reference
from streamavis.errors import CheckpointError, ShapeError
from streamavis.model import AVISM, StepOutput, StreamAVIS
from streamavis.model.avism import ClipPrediction

TOLERANCE = 1e-4  # of the largest value
HEARS = {"audio_channels": 128}


def assert_same(found: Tensor, expected: Tensor, what: str) -> None:
    assert found.shape == expected.shape, what
    apart = float((found - expected).abs().max())
    assert apart <= TOLERANCE * float(expected.abs().max()), f"{what}: {apart}"


def up_to(frames: int, rows: int, keys: int) -> Tensor:
    """(T*rows, T*keys) bool: rows of a frame see keys of frames up to it."""
    causal = torch.ones(frames, frames, dtype=torch.bool).tril()
    return causal.repeat_interleave(rows, 0).repeat_interleave(keys, 1)


def causal_tracker(avism: AVISM, queries: Tensor, audio: Tensor) -> list[ClipPrediction]:
    """AVISM's tracker without shifted windows and with a causal mask, after each frame.

    Args:
        queries: (1, T, Q, C), T no more than a window; audio: (1, T, A).
    """
    encoder = avism.object_encoder
    frames, per_frame = queries.shape[1:3]
    x = encoder.project(queries).flatten(1, 2)
    mask = up_to(frames, per_frame, per_frame)
    for layer in encoder.layers:
        x = layer.feed_forward(layer.norm(x + layer.attention(x, x, x, mask)))
    tokens = x.unflatten(1, (frames, per_frame))
    if encoder.audio is not None:
        heard = encoder.audio(audio)
        mask = up_to(frames, 1, per_frame)
        for layer in encoder.audio_layers:
            heard = layer.feed_forward(layer.norm(heard + layer.attention(heard, x, x, mask)))
        tokens = tokens + heard[:, :, None]
    return [avism.read(avism.object_decoder(tokens[:, : t + 1])[-1]) for t in range(frames)]


def run(model: StreamAVIS, frames: Tensor, audio: Tensor, rate: float = 1.0) -> list[StepOutput]:
    state = model.init_state(1)
    times = torch.arange(len(frames), dtype=torch.float64) / rate
    return [
        model.step(frames[t : t + 1], audio[t : t + 1], state, times_s=times[t : t + 1])
        for t in range(len(frames))
    ]


def assert_online(avism: AVISM, frames: Tensor, audio: Tensor) -> None:
    """The last law of the design: localizer and causal tracker, over one window."""
    model = StreamAVIS.from_avism(avism)
    with torch.inference_mode():
        features, found = avism.locate(frames, audio)
        queries = avism.localizer.norm(found.queries[-1])
        expected = causal_tracker(avism, queries[None], audio[None])
        video_features = avism.video_mask_features(features.stride4)
        for t, said in enumerate(run(model, frames, audio)):
            assert_same(said.frame_queries[0], queries[t], f"frame queries at {t}")
            last = found.predictions[-1]
            assert_same(said.frame_class_logits[0], last.class_logits[t], f"frame classes at {t}")
            assert_same(said.frame_mask_logits[0], last.mask_logits[t], f"frame masks at {t}")
            assert_same(said.class_logits, expected[t].class_logits, f"classes at {t}")
            assert_same(said.mask_embed, expected[t].mask_embed, f"mask embedding at {t}")
            masks = torch.einsum("vd,dhw->vhw", expected[t].mask_embed[0], video_features[t])
            assert_same(said.mask_logits[0], masks, f"masks at {t}")


@pytest.fixture(scope="module")
def golden() -> AVISM:
    """The published network of ResNet-50 with numbers that anybody can make again."""
    return avism_from_reference(full_state("R50_IN"))


def test_the_published_shape_goes_online(golden):
    rng = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (6, 3, 64, 96), generator=rng, dtype=torch.uint8)
    assert_online(golden, frames, tensor("iso.trk.audio.T6", (6, 128), 0.8).relu())
    config = StreamAVIS.from_avism(golden).config
    assert (config.window, config.sinks, config.memory_stride_s) == (5, 0, 1.0)
    assert (config.fusion, config.audio) == ("dense", "vggish")
    assert config.score_on == 0.3, "as AVISM's own threshold"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"window": 3},
        {"window": 1},
        {"frame_fusion": "none", "video_fusion": False},
        {"video_fusion": False},
        {"frame_fusion": "audio-centric", "count_levels": 2},
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_kind_of_offline_network_goes_online(changes, seed):
    avism = tiny_avism(**HEARS, **changes)
    rng = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (avism.config.window, 3, 50, 70), generator=rng).byte()
    if avism.config.window == 1:
        # One frame a second is remembered even then: a ring has a place.
        frames = frames[:1]
    assert_online(avism, frames, torch.rand(len(frames), 128, generator=rng))


def test_one_frame_is_what_the_offline_network_says_of_it():
    avism = tiny_avism(**HEARS)
    frames = torch.randint(0, 256, (1, 3, 50, 70), dtype=torch.uint8)
    audio = torch.rand(1, 128)
    whole = avism(frames, audio)
    (said,) = run(StreamAVIS.from_avism(avism), frames, audio)
    assert_same(said.class_logits[0], whole.class_logits, "classes")
    assert_same(said.mask_logits[0], whole.mask_logits[:, 0], "masks")


def test_more_frames_a_second_remember_no_more():
    model = StreamAVIS.from_avism(tiny_avism(**HEARS))
    frames = torch.randint(0, 256, (9, 3, 64, 64), dtype=torch.uint8)
    audio = torch.rand(9, 128)
    state = model.init_state(1)
    for t in range(9):
        times = torch.tensor([t / 4], dtype=torch.float64)
        model.step(frames[t : t + 1], audio[t : t + 1], state, times_s=times)
    assert state.counters.written.tolist() == [3]  # at 0, 0.75 and 1.75: round(t) rises


def test_what_is_found_sounds_and_nothing_else_is_known():
    model = StreamAVIS.from_avism(tiny_avism(**HEARS))
    (said,) = run(model, torch.randint(0, 256, (1, 3, 50, 70)).byte(), torch.rand(1, 128))
    assert said.visible_logits is None
    assert said.count_logits is None
    assert said.heard_logits is None
    best = said.class_logits.softmax(-1)[..., :-1].amax(-1)
    shown = (said.mask_logits > 0).flatten(2).any(-1)
    expected = torch.where(shown, best, 0.0)
    torch.testing.assert_close(said.sounding_logits.sigmoid(), expected, atol=2e-6, rtol=1e-5)
    assert said.sounding_logits.isfinite().all()
    assert said.identity.shape[-1] == TINY.channels


def test_an_empty_mask_does_not_sound():
    model = StreamAVIS.from_avism(tiny_avism(**HEARS))
    with torch.no_grad():
        model.heads.mask_embed.layers[-1].weight.zero_()
        model.heads.mask_embed.layers[-1].bias.zero_()
    (said,) = run(model, torch.randint(0, 256, (1, 3, 50, 70)).byte(), torch.rand(1, 128))
    assert float(said.sounding_logits.sigmoid().max()) < 1e-5


def test_sound_does_not_move_an_untaught_identity():
    model = StreamAVIS.from_avism(tiny_avism(**HEARS))
    features = model.see(torch.randint(0, 256, (1, 3, 64, 64)).byte())
    masks = torch.full((1, 2, 16, 16), -9.0)
    masks[0, 0, :8], masks[0, 1, 8:] = 9.0, 9.0
    identity = model.identity(masks, features)[0]
    cosine = torch.nn.functional.cosine_similarity(identity[0], identity[1], dim=0)
    assert float(cosine) < 0, "halves of a picture are unlike once what they share is taken off"


def test_what_avism_hears_through_else_is_refused():
    with pytest.raises(CheckpointError, match="audio_channels is 8, but VGGish has 128"):
        StreamAVIS.from_avism(tiny_avism())


def test_ready_features_are_asked_for_where_there_are_no_weights():
    model = StreamAVIS.from_avism(tiny_avism(**HEARS))
    frames = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    times = torch.zeros(1, dtype=torch.float64)
    with pytest.raises(ShapeError, match=r"holds no VGGish weights.*--vggish FILE"):
        model.step(frames, torch.zeros(1, 15_360), model.init_state(1), times_s=times)
    with pytest.raises(ShapeError, match=r"15360.*or 128 ready features.*100"):
        model.step(frames, torch.zeros(1, 100), model.init_state(1), times_s=times)


@pytest.mark.parametrize("pca", [False, True])
def test_sound_and_its_features_are_the_same_to_it(pca):
    torch.manual_seed(0)
    vggish = VGGish(pca=pca).eval().requires_grad_(False)
    avism = tiny_avism(**HEARS)
    deaf, hearing = (StreamAVIS.from_avism(avism, v) for v in (None, vggish))
    assert hearing.config == replace(deaf.config, vggish="pca" if pca else "plain")
    frames = torch.randint(0, 256, (2, 3, 50, 70), dtype=torch.uint8)
    sound = torch.rand(2, 15_360) - 0.5
    said = run(hearing, frames, sound)
    heard = hearing.audio_encoder(sound, torch.zeros(2, dtype=torch.float64)).tokens
    assert heard.abs().max() > 0
    for a, b in zip(said, run(deaf, frames, heard), strict=True):
        assert_same(a.class_logits, b.class_logits, "classes")
        assert_same(a.mask_logits, b.mask_logits, "masks")
