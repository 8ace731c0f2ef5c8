"""A camera and a microphone as one source: frames, sound, gaps and events, on one clock."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Self

from streamavis.clock import Clock, MonotonicClock
from streamavis.errors import InputError, StoppedError
from streamavis.io.live.capture import TellsTiming
from streamavis.io.live.capture_queue import CaptureQueue
from streamavis.io.live.delay import DelayMeter
from streamavis.io.live.device_supervisor import DeviceSupervisor
from streamavis.io.live.devices import camera_device, sound_device
from streamavis.io.media import MediaInfo
from streamavis.types import AudioChunk, AudioGap, SoundBearing, SourceEvent, SourceItem

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from streamavis.bearing import MicArray
    from streamavis.io.live.capture import Device
    from streamavis.protocols import Receiver

__all__ = ["LiveSource"]

_DEFAULT_MICROPHONE = "mic:default"


class LiveSource:
    """Frames and sound as they are captured, and an event for whatever happens to either.

    Iterate it once; a blocked iteration ends when `close` is called from any thread. A device
    that breaks is opened anew for as long as the source is open; meanwhile the other one goes on.
    It ends by itself only where the camera is a file or a generated source that ended.

    Where nobody iterates, frames are dropped (`dropped_frames` counts them, `index` shows them)
    and sound beyond 10 s becomes a gap.

    Attributes:
        info: what is known beforehand; `has_audio` is False where no sound will ever come.
    """

    info: MediaInfo

    def __init__(
        self,
        camera: str | Device,
        microphone: str | Device | None = None,
        clock: Clock | None = None,
        *,
        patience_s: float = 0.0,
        sound_offset_s: float = 0.0,
        cancelled: threading.Event | None = None,
        array: MicArray | None = None,
    ) -> None:
        """Open both and wait for the first picture.

        Args:
            camera: an address (see `parse_camera`), or a device of your own.
            microphone: an address (see `parse_sound`), `none`, or a device of your own. By
                default the sound of the camera's stream, else the default microphone, else none.
            clock: every time is on it; the engine's.
            patience_s: how long to try again where the camera cannot be opened at first.
            sound_offset_s: how late sound is against the picture, as `ClapMeter` measures it;
                its times are moved back by this.
            cancelled: whoever sets it ends the wait for the first picture.
            array: the microphones that the channels of the sound are; bearings of the sound
                (`SoundBearing`) come beside it. Devices of your own give them by themselves.

        Raises:
            InputError: the camera or the named microphone cannot be opened; says why.
            StoppedError: `cancelled` was set before both had given something.
        """
        self._clock = clock or MonotonicClock()
        self._array = array
        self._cancelled = cancelled
        self._queue = CaptureQueue()
        self._sound_offset_ns = round(sound_offset_s * 1e9)
        own_sound = microphone is None or microphone == camera
        if isinstance(camera, str):
            camera = camera_device(camera, with_sound=own_sound, array=array)
        sound: Device | None = None
        if not own_sound and microphone is not None and microphone != "none":
            sound = (
                sound_device(microphone, array=array) if isinstance(microphone, str) else microphone
            )
        self._delay = DelayMeter((sound or camera).longest_delay_s)
        self._eyes = self._supervise(camera, self._put if own_sound else self._put_video)
        self._ears = None if sound is None else self._supervise(sound, self._put)
        self._supervisors = [s for s in (self._eyes, self._ears) if s is not None]
        try:
            self._open(camera, microphone, patience_s)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield what is captured until the source is closed or its camera ended."""
        return iter(self._queue)

    def connect(self, receiver: Receiver) -> None:
        """Give `receiver` what waits, then everything as it is captured, instead of iterating.

        Its `put` is called on the devices' threads, one call at a time.
        """
        self._queue.connect(receiver)

    @property
    def audio_delay_s(self) -> float:
        """How much later than a picture its sound is here: measured, in steps of 0.01 s.

        At most 0.06 s for a microphone, 0.2 s for the sound of a network stream.
        """
        return self._delay.delay_s

    @property
    def measured_delay_s(self) -> float:
        """As `audio_delay_s`, but neither rounded nor cut."""
        return self._delay.measured_s

    @property
    def sound_timing(self) -> str:
        """Where the times of the sound come from, for people; "" before any came."""
        capture = (self._eyes if self._ears is None else self._ears).capture
        return capture.timing if isinstance(capture, TellsTiming) else ""

    @property
    def dropped_frames(self) -> int:
        """Frames that were captured and left out, because nobody took them in time."""
        return self._queue.dropped_frames

    def close(self) -> None:
        """Release both devices, from any thread, without waiting for their drivers.

        Safe to call twice. See `join`.
        """
        self._queue.close()
        for supervisor in self._supervisors:
            supervisor.stop()

    def stop(self) -> None:
        """End the iteration; the engine's word for `close`."""
        self.close()

    def join(self, timeout_s: float) -> bool:
        """After `close`: wait until every thread is gone; False if one is not by `timeout_s`."""
        left = [s for s in self._supervisors if not s.join(timeout_s)]
        return not left

    def _supervise(self, device: Device, put: Callable[[SourceItem], None]) -> DeviceSupervisor:
        on_ended = self._queue.finish if device.modality == "video" else None
        return DeviceSupervisor(device, put, self._clock, on_ended=on_ended)

    def _open(self, camera: Device, microphone: str | Device | None, patience_s: float) -> None:
        for supervisor in self._supervisors:
            supervisor.start()
        eyes = self._eyes.wait_first(patience_s, self._cancelled)
        if isinstance(eyes, str):
            raise InputError(eyes)
        has_audio = eyes.has_sound and self._ears is None and microphone != "none"
        if self._ears is not None:
            heard = self._ears.wait_first(patience_s, self._cancelled)
            if isinstance(heard, str):
                raise InputError(heard)
            has_audio = True
        elif microphone is None and not has_audio:
            has_audio = self._try_default_microphone()
        elif microphone is not None and not has_audio and microphone != "none":
            raise InputError(f"{camera.name}: has no sound; name a microphone or `none`")
        height, width = self._eyes.size
        self.info = MediaInfo(camera.name, width, height, eyes.fps, has_audio, None)

    def _try_default_microphone(self) -> bool:
        device = sound_device(_DEFAULT_MICROPHONE, array=self._array)
        self._delay = DelayMeter(device.longest_delay_s)
        ears = self._supervise(device, self._put)
        ears.start()
        try:
            heard = ears.wait_first(0.0, self._cancelled)
        except StoppedError:
            ears.stop()
            raise
        if isinstance(heard, str):
            ears.stop()
            now_ns = self._clock.now_ns()
            self._put(SourceEvent(_DEFAULT_MICROPHONE, "audio", "ended", now_ns, heard))
            return False
        self._ears = ears
        self._supervisors.append(ears)
        return True

    def _put(self, item: SourceItem) -> None:
        if isinstance(item, AudioChunk):
            item.start_time_ns -= self._sound_offset_ns
            self._delay.observe(item.start_time_ns, self._clock.now_ns())
        elif isinstance(item, AudioGap):
            item = replace(item, start_time_ns=item.start_time_ns - self._sound_offset_ns)
        elif isinstance(item, SoundBearing):
            item = replace(item, time_ns=item.time_ns - self._sound_offset_ns)
        self._queue.put(item)

    def _put_video(self, item: SourceItem) -> None:
        """What the camera gives while the sound comes from elsewhere."""
        if isinstance(item, AudioChunk | AudioGap | SoundBearing):
            return
        if isinstance(item, SourceEvent) and item.modality == "audio":
            return
        self._queue.put(item)
