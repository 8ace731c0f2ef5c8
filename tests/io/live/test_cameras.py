import errno
import struct

from streamavis.io.live.cameras import CameraMode, LocalCamera, list_cameras

CARD = b"Webcam C920"
MODES = {  # (name, code) -> size -> intervals
    (b"Motion-JPEG", 0x47504A4D): {(1920, 1080): [(1, 30)], (640, 480): [(1, 60), (1, 30)]},
    (b"YUYV 4:2:2", 0x56595559): {(640, 480): [(1001, 30000)]},
}


class Driver:
    """ioctl of a webcam with two formats, and of its metadata node."""

    def __call__(self, file, code, data):
        capture = file.name.endswith("video0")
        index, *keys = struct.unpack_from("=4I", data)
        formats = list(MODES.items())
        try:
            if code & 0xFF == 0:
                data[16 : 16 + len(CARD)] = CARD
                caps = (0x84200001, 0x04200001) if capture else (0x84A00001, 0x04A00000)
                struct.pack_into("=II", data, 84, *caps)
            elif code & 0xFF == 2:
                assert keys[0] == 1
                name, fourcc = formats[index][0]
                data[12 : 12 + len(name)] = name
                struct.pack_into("=I", data, 44, fourcc)
            else:
                sizes = next(s for (_, fourcc), s in formats if fourcc == keys[0])
                if code & 0xFF == 74:
                    struct.pack_into("=III", data, 8, 1, *list(sizes)[index])
                else:
                    width, height = keys[1:3]
                    struct.pack_into("=III", data, 16, 1, *sizes[width, height][index])
        except IndexError:
            raise OSError(errno.EINVAL, "no more") from None
        return 0


def test_a_webcam_is_listed_with_its_modes_and_not_its_metadata(tmp_path):
    for name in ("video0", "video1", "video10"):
        (tmp_path / name).touch()
    (tmp_path / "video10").chmod(0)
    first, *others = list_cameras(tmp_path, Driver())
    assert first.name == "Webcam C920"
    assert first.modes == (
        CameraMode("Motion-JPEG", 1920, 1080, (30.0,)),
        CameraMode("Motion-JPEG", 640, 480, (60.0, 30.0)),
        CameraMode("YUYV 4:2:2", 640, 480, (29.97,)),
    )
    assert [camera.node for camera in others] in ([], [str(tmp_path / "video10")])


def test_a_node_that_refuses_says_why(tmp_path):
    def refuse(file, code, data):
        raise OSError(errno.EBUSY, "Device or resource busy")

    (tmp_path / "video0").touch()
    (camera,) = list_cameras(tmp_path, refuse)
    assert camera.problem == "device or resource busy"


def test_addresses_are_those_that_live_takes():
    assert LocalCamera("/dev/video3", "", ()).address == "camera:3"
    assert LocalCamera("/dev/v4l/by-id/x", "", ()).address == "v4l2:/dev/v4l/by-id/x"
