"""Log-mel against the definition, and the hop grid of the causal encoder."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given
from hypothesis import strategies as st

from streamavis.audio.causal import HOPS, CausalAudioEncoder, last_hops
from streamavis.audio.log_mel import log_mel
from streamavis.errors import ShapeError

RATE = 16_000


def by_definition(waveform: np.ndarray) -> np.ndarray:
    """VGGish's spectra in float64 NumPy, bin by bin."""
    mel = lambda hz: 1127.0 * np.log(1.0 + hz / 700.0)  # noqa: E731
    edges = np.linspace(mel(125.0), mel(7500.0), 66)
    rows = []
    for start in range(0, len(waveform) - 399, 160):
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
        spectrum = np.abs(np.fft.rfft(waveform[start : start + 400] * hann, 512))
        row = np.zeros(64)
        for k in range(1, 257):
            m = mel(k * RATE / 512)
            for band in range(64):
                low, mid, high = edges[band : band + 3]
                weight = min((m - low) / (mid - low), (high - m) / (high - mid))
                row[band] += max(weight, 0.0) * spectrum[k]
        rows.append(np.log(row + 0.01))
    return np.array(rows)


def test_log_mel_follows_its_definition():
    rng = np.random.default_rng(0)
    waveform = rng.uniform(-0.5, 0.5, 1_200)
    ours = log_mel(torch.from_numpy(waveform).float()).numpy()
    assert ours.shape == (6, 64)
    np.testing.assert_allclose(ours, by_definition(waveform), atol=2e-5)


def test_spectra_are_those_of_scipy():
    """Windows and Fourier transform by SciPy, triangles by interpolation: another way there."""
    waveform = np.random.default_rng(1).uniform(-0.5, 0.5, 8_000)
    hz, _, spectra = scipy.signal.stft(
        waveform, RATE, "hann", 400, 240, 512, boundary=None, padded=False, scaling="spectrum"
    )
    magnitude = np.abs(spectra).T * scipy.signal.get_window("hann", 400).sum()
    mel = lambda x: 1127.0 * np.log1p(x / 700.0)  # noqa: E731
    corners = np.linspace(mel(125.0), mel(7500.0), 66)
    bands = np.stack(
        [np.interp(mel(hz), corners[i : i + 3], [0, 1, 0], 0, 0) for i in range(64)], axis=1
    )
    expected = np.log(magnitude @ bands + 0.01)
    np.testing.assert_allclose(
        log_mel(torch.from_numpy(waveform).float()).numpy(), expected, atol=2e-5
    )


@given(st.integers(400, 3_000), st.lists(st.integers(1, 700), min_size=1, max_size=8))
def test_pieces_as_they_come_give_the_spectra_of_the_whole(length, sizes):
    """A stream keeps what the next spectrum still needs, and nothing else."""
    waveform = torch.rand(length, generator=torch.Generator().manual_seed(length)) - 0.5
    whole, kept, spectra = log_mel(waveform), waveform[:0], []
    at = 0
    for size in itertools.cycle(sizes):
        if at >= length:
            break
        kept, at = torch.cat([kept, waveform[at : at + size]]), at + size
        if len(kept) >= 400:
            spectra.append(log_mel(kept))
            kept = kept[len(spectra[-1]) * 160 :]
    torch.testing.assert_close(torch.cat(spectra), whole, rtol=0, atol=1e-6)


def test_silence_is_the_offset():
    assert torch.allclose(log_mel(torch.zeros(400)), torch.full((1, 64), np.log(0.01)))


def test_too_short_a_waveform_is_named():
    with pytest.raises(ShapeError, match="400 samples but got 399"):
        log_mel(torch.zeros(399))


def window(stream: torch.Tensor, end: int) -> torch.Tensor:
    return stream[end - 15_360 : end][None]


def test_hops_lie_on_the_grid_of_the_stream():
    stream = torch.randn(40_000, generator=torch.Generator().manual_seed(0))
    grid = log_mel(stream[80:])  # spectra that end with a whole hop: 400 samples are 2.5 hops
    for end in (16_000, 16_001, 16_159, 16_160, 33_333):
        spectra = last_hops(window(stream, end), torch.tensor([end / RATE], dtype=torch.float64))
        complete = end // 160 - 2
        assert spectra.shape == (1, HOPS, 64)
        torch.testing.assert_close(spectra[0], grid[complete - HOPS : complete])


def test_two_frames_within_a_hop_hear_the_same():
    torch.manual_seed(0)
    encoder = CausalAudioEncoder(16, 4).eval()
    stream = torch.randn(40_000)
    tokens = [
        encoder(window(stream, end), torch.tensor([end / RATE], dtype=torch.float64)).tokens
        for end in (32_000, 32_159, 32_160)
    ]
    torch.testing.assert_close(tokens[0], tokens[1])
    assert not torch.allclose(tokens[0], tokens[2])


def test_whole_nanoseconds_find_their_sample_after_a_month():
    for end in (16_000, 15_999, 41_472_000_000 + 7, 41_472_000_000 + 160):
        ns = -(-end * 1_000_000_000 // RATE)  # the first nanosecond at which the sample is past
        audio = torch.arange(15_360, dtype=torch.float32)[None]
        spectra = last_hops(audio, torch.tensor([ns / 1e9], dtype=torch.float64))
        past = end % 160
        expected = log_mel(audio[:, 400 - past : 400 - past + 400 + (HOPS - 1) * 160])
        torch.testing.assert_close(spectra, expected)


def test_a_wrong_window_is_named():
    with pytest.raises(ShapeError, match="15360"):
        last_hops(torch.zeros(1, 100), torch.zeros(1, dtype=torch.float64))
