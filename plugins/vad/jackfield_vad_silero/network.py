"""The network of Silero VAD 5 and 6 for 16 kHz, for many speakers at once.

A window goes, behind the end of the one before, through a short-time Fourier transform (four frames of 129
magnitudes), four convolutions along time (128 channels at the end) and one LSTM cell, whose output gives
the probability. All arrays between the layers are made once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from jackfield_vad_silero.weights import Shape

Floats = NDArray[np.float32]

WINDOW_SAMPLES: Final = 512
MOST_SPEAKERS: Final = 32
"""Speakers of one step. More at once are hardly faster, and the arrays no longer fit the second cache."""

_CONTEXT: Final = 64
_FRAMES: Final = 4
_FRAME: Final = 256
_HOP: Final = 128
_BINS: Final = 129
_CELLS: Final = 128
_MEMORY: Final = _CONTEXT + 2 * _CELLS
"""Last samples of the window before, then the LSTM's output and its cell."""
_HEARD: Final = _CONTEXT + WINDOW_SAMPLES
_SCALE: Final = np.float32(1 / 32_768)

_ENCODER: Final = "model.encoder.{}.reparam_conv.{}"
_LSTM: Final = "model.decoder.rnn.{}"
_OUTPUT: Final = "model.decoder.decoder.2.{}"
_LAYERS: Final = ((_BINS, 128, 4, 1), (128, 64, 4, 2), (64, 64, 2, 2), (64, _CELLS, 1, 1))
"""Convolutions: channels in, channels out, frames in, stride."""

SHAPES: Final[Mapping[str, Shape]] = {
    **{_ENCODER.format(at, "weight"): (layer[1], layer[0], 3) for at, layer in enumerate(_LAYERS)},
    **{_ENCODER.format(at, "bias"): (layer[1],) for at, layer in enumerate(_LAYERS)},
    **{_LSTM.format(name): (4 * _CELLS, _CELLS) for name in ("weight_ih", "weight_hh")},
    **{_LSTM.format(name): (4 * _CELLS,) for name in ("bias_ih", "bias_hh")},
    _OUTPUT.format("weight"): (1, _CELLS, 1),
    _OUTPUT.format("bias"): (1,),
}
"""Names and shapes of the weights in the ONNX file."""


class _Convolution:
    """Three taps along time, silence around the frames, negative results made zero."""

    def __init__(self, weight: Floats, bias: Floats, frames: int, stride: int) -> None:
        channels_out, channels_in, taps = weight.shape
        matrix = np.ascontiguousarray(weight.transpose(2, 1, 0)).reshape(-1, channels_out)
        self._steps: list[tuple[slice, Floats, slice]] = []
        for position, centre in enumerate(range(0, frames, stride)):
            first, begin, end = centre - 1, max(centre - 1, 0), min(centre - 1 + taps, frames)
            self._steps.append(
                (
                    slice(begin * channels_in, end * channels_in),
                    matrix[(begin - first) * channels_in : (end - first) * channels_in],
                    slice(position * channels_out, (position + 1) * channels_out),
                )
            )
        self._bias = np.tile(bias, len(self._steps))
        self.width = len(self._bias)

    def __call__(self, frames: Floats, result: Floats) -> None:
        for heard, matrix, given in self._steps:
            np.matmul(frames[:, heard], matrix, out=result[:, given])
        np.add(result, self._bias, out=result)
        np.maximum(result, 0, out=result)


class Network:
    """The network with its weights. Only one thread may use it at a time."""

    def __init__(self, weights: Mapping[str, Floats]) -> None:
        self._convolutions = [
            _Convolution(
                weights[_ENCODER.format(at, "weight")], weights[_ENCODER.format(at, "bias")], frames, stride
            )
            for at, (_, _, frames, stride) in enumerate(_LAYERS)
        ]
        self._take_decoder(weights)
        self._hann = np.hanning(_FRAME + 1)[:-1].astype(np.float32)
        self._memory = np.zeros((MOST_SPEAKERS, _MEMORY), np.float32)
        self._sound = np.zeros((MOST_SPEAKERS, _HEARD + _CONTEXT), np.float32)
        row, sample = self._sound.strides
        self._frames = as_strided(
            self._sound, (MOST_SPEAKERS, _FRAMES, _FRAME), (row, _HOP * sample, sample), writeable=False
        )
        self._shaped = np.zeros((MOST_SPEAKERS, _FRAMES, _FRAME), np.float32)
        self._spectrum = np.zeros((MOST_SPEAKERS, _FRAMES, _BINS), np.complex64)
        self._magnitudes = np.zeros((MOST_SPEAKERS, _FRAMES, _BINS), np.float32)
        self._encoded = [np.zeros((MOST_SPEAKERS, layer.width), np.float32) for layer in self._convolutions]
        self._fed = np.zeros((MOST_SPEAKERS, 2 * _CELLS), np.float32)
        self._gates = np.zeros((MOST_SPEAKERS, 4 * _CELLS), np.float32)

    def _take_decoder(self, weights: Mapping[str, Floats]) -> None:
        """Bring the gates into the order input, forget, output, new; halve those that are sigmoids."""
        order = np.arange(4 * _CELLS).reshape(4, _CELLS)[[0, 1, 3, 2]].reshape(-1)
        halved = np.repeat(np.array([0.5, 0.5, 0.5, 1], np.float32), _CELLS)
        both = np.concatenate([weights[_LSTM.format(name)] for name in ("weight_hh", "weight_ih")], axis=1)
        bias = weights[_LSTM.format("bias_hh")] + weights[_LSTM.format("bias_ih")]
        self._lstm: Floats = np.ascontiguousarray(both[order].T * halved)
        self._lstm_bias: Floats = bias[order] * halved
        self._output: Floats = weights[_OUTPUT.format("weight")].reshape(_CELLS) * np.float32(0.5)
        self._output_bias: Floats = weights[_OUTPUT.format("bias")] * np.float32(0.5)

    def memory(self) -> Floats:
        """Give what a speaker begins with: silence."""
        return np.zeros(_MEMORY, np.float32)

    def step(self, memories: Sequence[Floats], windows: Sequence[bytes]) -> list[float]:
        """Give the probability of speech in a window of each of 1 to `MOST_SPEAKERS` speakers.

        A window is `WINDOW_SAMPLES` samples of PCM, signed 16-bit little-endian, mono, 16000 Hz. The
        memories are brought up to date; none may stand there twice.
        """
        count = len(memories)
        memory = self._memory[:count]
        np.concatenate(memories, out=memory.reshape(-1))
        self._listen(memory, np.frombuffer(b"".join(windows), "<i2").reshape(count, WINDOW_SAMPLES))
        self._encode(count)
        probabilities: list[float] = self._decode(memory).tolist()
        for one, brought_up in zip(memories, memory, strict=True):
            one[:] = brought_up
        return probabilities

    def _listen(self, memory: Floats, samples: NDArray[np.int16]) -> None:
        """Fill in the magnitudes. The sound's end is mirrored, so that the last frame is a whole one."""
        count = len(samples)
        sound, shaped, spectrum = self._sound[:count], self._shaped[:count], self._spectrum[:count]
        sound[:, :_CONTEXT] = memory[:, :_CONTEXT]
        np.multiply(samples, _SCALE, out=sound[:, _CONTEXT:_HEARD])
        sound[:, _HEARD:] = sound[:, _HEARD - 2 : _HEARD - 2 - _CONTEXT : -1]
        memory[:, :_CONTEXT] = sound[:, _HEARD - _CONTEXT : _HEARD]
        np.multiply(self._frames[:count], self._hann, out=shaped)
        np.fft.rfft(shaped, axis=-1, out=spectrum)  # type: ignore[arg-type]  # it also takes single precision
        np.abs(spectrum, out=self._magnitudes[:count])

    def _encode(self, count: int) -> None:
        """Fill in the LSTM's input, the second half of what it is fed."""
        frames = self._magnitudes[:count].reshape(count, -1)
        for layer, encoded in zip(self._convolutions, self._encoded, strict=True):
            layer(frames, encoded[:count])
            frames = encoded[:count]
        self._fed[:count, _CELLS:] = frames

    def _decode(self, memory: Floats) -> Floats:
        """Let the LSTM cell go a step and give the probabilities. A sigmoid is half a tanh of the half."""
        count = len(memory)
        output, cell = memory[:, _CONTEXT : _CONTEXT + _CELLS], memory[:, _CONTEXT + _CELLS :]
        fed, gates = self._fed[:count], self._gates[:count]
        fed[:, :_CELLS] = output
        np.matmul(fed, self._lstm, out=gates)
        np.add(gates, self._lstm_bias, out=gates)
        np.tanh(gates, out=gates)
        sigmoids = gates[:, : 3 * _CELLS]
        sigmoids *= 0.5
        sigmoids += 0.5
        taken, kept, shown, new = (gates[:, at : at + _CELLS] for at in range(0, 4 * _CELLS, _CELLS))
        cell *= kept
        new *= taken
        cell += new
        np.tanh(cell, out=output)
        output *= shown
        np.maximum(output, 0, out=new)
        halves: Floats = np.tanh(new @ self._output + self._output_bias) * np.float32(0.5)
        return halves + np.float32(0.5)
