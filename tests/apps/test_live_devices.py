"""`devices`, `calibrate` and `doctor --camera` on generated sources."""

import io

import numpy as np
import pytest
from rich.console import Console
from streamavis_apps.exits import ExitCode, Stop
from streamavis_apps.setup import calibrate, devices, doctor

from streamavis.errors import InputError
from streamavis.io.child.messages import FoundMicrophone
from streamavis.io.live.cameras import CameraMode, LocalCamera

# A flash of 0.1 s and a beep that begins 60 ms after it, each second.
FLASH = "color=black:size=64x48:rate=30,format=gray,geq=lum='if(lt(mod(T\\,1)\\,0.1)\\,220\\,16)'"
BEEP = "aevalsrc='if(between(mod(t,1),0.06,0.1),0.5*sin(6283*t),0)':sample_rate=16000"
CLAPS = f"lavfi:{FLASH}[out0];{BEEP}[out1]"


def console():
    return Console(file=io.StringIO(), width=120)


def said(console):
    return " ".join(console.file.getvalue().split())


def test_calibrate_measures_a_live_source():
    out = console()
    assert calibrate.run(CLAPS, seconds=3.5, console=out, stop=Stop()) is ExitCode.DONE
    ms = float(said(out).split(" ms")[0])
    assert ms == pytest.approx(60 + 17, abs=20)  # the flash is seen within a frame time
    assert "--sound-offset" in said(out)


def test_calibrate_measures_a_recording(tmp_path):
    from streamavis.io.media import MediaSource
    from streamavis.types import VideoFrame

    path = tmp_path / "claps.mkv"
    record_claps(path, offset_s=0.1)
    with MediaSource(path) as source:
        assert sum(isinstance(item, VideoFrame) for item in source) > 200
    out = console()
    assert calibrate.run(str(path), console=out, stop=Stop()) is ExitCode.DONE
    assert float(said(out).split(" ms")[0]) == pytest.approx(100, abs=17)


def record_claps(path, offset_s):
    import av

    random = np.random.default_rng(0)
    at_s = 0.8 + np.cumsum(random.uniform(0.8, 1.1, 8))
    with av.open(path, "w") as out:
        video = out.add_stream("mjpeg", rate=30)
        video.width, video.height, video.pix_fmt = 64, 48, "yuvj420p"
        audio = out.add_stream("pcm_s16le", rate=16_000)
        audio.layout = "mono"
        for number in range(int((at_s[-1] + 1) * 30)):
            since = number / 30 - at_s
            bright = bool(((since >= 0) & (since < 0.1)).any())
            image = np.full((48, 64, 3), 220 if bright else 30, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuvj420p")
            frame.pts = number
            out.mux(video.encode(frame))
        times = np.arange(int((at_s[-1] + 1) * 16_000)) / 16_000
        loud = (
            (times[:, None] >= at_s + offset_s) & (times[:, None] < at_s + offset_s + 0.05)
        ).any(1)
        samples = (loud * 12_000 * np.sin(5000 * times)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.sample_rate, frame.pts = 16_000, 0
        out.mux(audio.encode(frame))
        out.mux(video.encode(None))


def test_calibrate_says_what_it_lacks():
    with pytest.raises(InputError, match="clap five times"):
        calibrate.run(
            "lavfi:testsrc2=size=64x48:duration=1[out0];sine=duration=1[out1]",
            console=console(),
            stop=Stop(),
        )


def test_doctor_measures_what_a_source_delivers():
    out = console()
    source = "lavfi:testsrc2=size=64x48:rate=20[out0];sine=frequency=440[out1]"
    code = doctor.run([], out, camera=source, seconds=1.5)
    text = said(out)
    assert code is ExitCode.DONE
    assert "of 20 frames/s, 64x48" in text
    assert "by pts" in text
    assert "0 gaps" in text and "audio_delay_s 0.0" in text


def test_devices_lists_what_the_drivers_tell(monkeypatch):
    camera = LocalCamera("/dev/video0", "Webcam", (CameraMode("Motion-JPEG", 640, 480, (30.0,)),))
    monkeypatch.setattr(devices, "list_cameras", lambda: [camera])
    microphones = [FoundMicrophone("USB Mic", 48_000, 1, True)]
    monkeypatch.setattr(devices, "list_microphones", lambda: microphones)
    out = console()
    assert devices.run(console=out) is ExitCode.DONE
    assert "camera:0 Webcam 640x480 Motion-JPEG 30 frames/s" in said(out)
    assert "mic:USB Mic 48000 Hz, 1 channel (default)" in said(out)


def test_devices_without_portaudio_names_the_package(monkeypatch):
    def refuse():
        raise InputError("install it with: sudo apt-get install libportaudio2")

    monkeypatch.setattr(devices, "list_cameras", list)
    monkeypatch.setattr(devices, "list_microphones", refuse)
    out = console()
    assert devices.run(console=out, levels=True) is ExitCode.DONE
    assert "apt-get install libportaudio2" in said(out)
