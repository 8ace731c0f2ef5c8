"""The causal ear: what a frame hears is a function of the hops that ended, and of nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamavis.audio.causal import HOPS, CausalAudioEncoder, last_hops
from streamavis.audio.features import NullAudioEncoder
from streamavis.audio.log_mel import HOP, SPECTRUM_SAMPLES, log_mel
from streamavis.audio.trailing import VGGishEncoder, trailing_example
from streamavis.audio.vggish import VGGish
from streamavis.errors import ShapeError
from streamavis.types import SAMPLE_RATE, WINDOW_SAMPLES


@pytest.fixture(scope="module")
def ear() -> CausalAudioEncoder:
    torch.manual_seed(0)
    return CausalAudioEncoder(32, 3).eval().requires_grad_(False)


def stream(seed: int, seconds: float = 4.0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(round(seconds * SAMPLE_RATE), generator=rng) - 0.5


def window(sound: torch.Tensor, time_s: float) -> torch.Tensor:
    """What the runtime gives: the 15,360 whole samples up to a time."""
    end = int(np.floor(round(time_s * 1e9) / 62_500))
    return sound[end - WINDOW_SAMPLES : end]


def heard(ear: CausalAudioEncoder, sound: torch.Tensor, time_s: float) -> torch.Tensor:
    times = torch.tensor([time_s], dtype=torch.float64)
    return ear(window(sound, time_s)[None], times).tokens


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(1_000_000_000, 3_900_000_000))
def test_a_token_is_of_the_window_that_ends_with_the_last_hop(ear, seed, time_ns):
    sound = stream(seed)
    whole_ns = time_ns // 10_000_000 * 10_000_000
    assert torch.equal(heard(ear, sound, time_ns / 1e9), heard(ear, sound, whole_ns / 1e9))
    # Whatever lies outside these 0.96 s, or within the hop that has not ended, is not heard.
    end = whole_ns // 62_500
    other = sound.clone()
    other[end:] += 1
    other[: end - WINDOW_SAMPLES] += 1
    assert torch.equal(heard(ear, sound, time_ns / 1e9), heard(ear, other, time_ns / 1e9))
    other[end - 1] += 1
    assert not torch.equal(heard(ear, sound, time_ns / 1e9), heard(ear, other, time_ns / 1e9))


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(0, 2**40), st.integers(0, 159))
def test_spectra_lie_on_the_hop_grid_of_the_stream(seed, hops, inside):
    """Spectrum k of the stream is the same in every window that holds it, however late it is."""
    sound = stream(seed, 1.5)
    first = sound[:WINDOW_SAMPLES]
    later = sound[3 * HOP + inside :][:WINDOW_SAMPLES]
    at = torch.tensor([hops * 160, hops * 160 + 3 * HOP + inside], dtype=torch.float64)
    a, b = last_hops(torch.stack([first, later]), at / SAMPLE_RATE)
    torch.testing.assert_close(a[3:], b[:-3], rtol=0, atol=1e-5)


def test_the_newest_spectrum_ends_with_the_last_hop():
    sound = stream(0)
    spectra = last_hops(window(sound, 2.0)[None], torch.tensor([2.0], dtype=torch.float64))
    assert spectra.shape == (1, HOPS, 64)
    newest = log_mel(sound[2 * SAMPLE_RATE - SPECTRUM_SAMPLES : 2 * SAMPLE_RATE])
    torch.testing.assert_close(spectra[0, -1], newest[0], rtol=0, atol=1e-5)


def test_a_stream_is_heard_the_same_after_a_gap_or_a_jump(ear):
    sound, other = stream(1), stream(2)
    before = heard(ear, sound, 2.5)
    heard(ear, other, 3.7)  # another window in between leaves nothing behind
    assert torch.equal(heard(ear, sound, 2.5), before)


def test_the_onset_of_the_last_hops_is_heard(ear):
    sound = stream(0)
    quiet = sound.clone()
    quiet[round(1.9 * SAMPLE_RATE) :] = 0
    a, b = heard(ear, sound, 2.0), heard(ear, quiet, 2.0)
    assert float((a - b).abs().max()) > 0.1 * float(a.abs().max())


def test_wrong_windows_are_named(ear):
    times = torch.zeros(2, dtype=torch.float64)
    with pytest.raises(ShapeError, match=r"expected audio \(2, 15360\) but got \(2, 100\)"):
        ear(torch.zeros(2, 100), times)


def test_the_deaf_say_the_same_of_every_sound():
    deaf = NullAudioEncoder(32, 3)
    times = torch.zeros(2, dtype=torch.float64)
    out = deaf(torch.rand(2, WINDOW_SAMPLES), times)
    assert out.tokens.shape == (2, 32)
    assert out.heard_logits.shape == out.heard_level.shape == (2, 3)
    assert not out.tokens.any()
    assert not list(deaf.parameters())


def test_vggish_hears_the_newest_whole_window():
    sound = stream(3, 2.0)
    example = trailing_example(sound[None, :WINDOW_SAMPLES])
    assert example.shape == (1, 96, 64)
    # All spectra that end within the window are those of the sound itself.
    whole = log_mel(sound[:15_600])
    torch.testing.assert_close(example[0, :94], whole[:94], rtol=0, atol=1e-5)


def test_vggish_is_frozen_and_what_it_is_taught_is_not():
    torch.manual_seed(0)
    ear = VGGishEncoder(3, weights="plain", taught=True).train()
    assert isinstance(ear.vggish, VGGish)
    learned = [name for name, p in ear.named_parameters() if p.requires_grad]
    assert learned == ["heard.weight", "heard.bias", "level.weight", "level.bias"]
    out = ear(torch.rand(1, WINDOW_SAMPLES), torch.zeros(1, dtype=torch.float64))
    assert out.tokens.shape == (1, 128)
    assert not out.tokens.requires_grad
    assert out.heard_logits.requires_grad
    assert VGGishEncoder(3, weights="absent", taught=False).heard is None
