"""The ROS 2 head, against a stand-in for exactly the calls it makes: rclpy is on no registry."""

from __future__ import annotations

import math
import sys
from types import ModuleType, SimpleNamespace

import pytest

from streamavis.errors import OutputError
from streamavis.follow import Pose
from streamavis.follow.ros import RosHead


class Node:
    """Keeps what is published, and calls subscribers when spun."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.published: list[SimpleNamespace] = []
        self.waiting: list[SimpleNamespace] = []
        self.callback = None
        self.topics: dict[str, type] = {}
        self.destroyed = False

    def create_publisher(self, kind: type, topic: str, depth: int) -> SimpleNamespace:
        self.topics[topic] = kind
        return SimpleNamespace(publish=self.published.append)

    def create_subscription(self, kind: type, topic: str, callback: object, depth: int) -> None:
        self.topics[topic] = kind
        self.callback = callback

    def destroy_node(self) -> None:
        self.destroyed = True


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    state = SimpleNamespace(up=False, nodes=[])

    def create_node(name: str) -> Node:
        state.nodes.append(Node(name))
        return state.nodes[-1]

    def spin_once(node: Node, timeout_sec: float) -> None:
        assert timeout_sec == 0.0, "nothing is waited for"
        if node.waiting:
            node.callback(node.waiting.pop(0))

    modules = {
        "rclpy": {
            "ok": lambda: state.up,
            "init": lambda: setattr(state, "up", True),
            "create_node": create_node,
            "spin_once": spin_once,
        },
        "builtin_interfaces.msg": {"Duration": SimpleNamespace},
        "sensor_msgs.msg": {"JointState": type("JointState", (), {})},
        "trajectory_msgs.msg": {
            "JointTrajectory": type("JointTrajectory", (), {}),
            "JointTrajectoryPoint": type("JointTrajectoryPoint", (), {}),
        },
    }
    for name, values in modules.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setitem(sys.modules, name.partition(".")[0], sys.modules.get(name, module))
    monkeypatch.setitem(sys.modules, "rclpy", sys.modules["rclpy"])
    return state


def test_a_pose_is_published_as_a_trajectory_of_one_point(ros: SimpleNamespace) -> None:
    head = RosHead("/neck/joint_trajectory", pan="pan", tilt="tilt")
    (node,) = ros.nodes
    assert ros.up
    assert set(node.topics) == {"/neck/joint_trajectory", "/joint_states"}
    head.move(Pose(90, 30))
    (trajectory,) = node.published
    assert trajectory.joint_names == ["pan", "tilt"]
    (point,) = trajectory.points
    # REP 103: anticlockwise is positive, so right is negative.
    assert point.positions == pytest.approx([-math.pi / 2, math.pi / 6])
    assert (point.time_from_start.sec, point.time_from_start.nanosec) == (0, 40_000_000)


def test_the_joint_states_say_where_it_is(ros: SimpleNamespace) -> None:
    head = RosHead(tilt_down=True)
    (node,) = ros.nodes
    assert head.pose() is None
    head.hold()
    assert node.published == [], "unknown where: nothing is sent"
    node.waiting.append(SimpleNamespace(name=["wheel"], position=[1.0]))
    assert head.pose() is None
    joints = ["wheel", "head_tilt_joint", "head_pan_joint"]
    node.waiting.append(SimpleNamespace(name=joints, position=[1.0, 0.5, -1.0]))
    at = head.pose()
    assert at is not None
    assert (at.pan, at.tilt) == pytest.approx((57.2958, -28.6479), abs=1e-3)
    head.hold()
    assert node.published[0].points[0].positions == pytest.approx([-1.0, 0.5])
    head.close()
    assert node.destroyed


def test_a_ros_that_was_shut_down_and_none_at_all_are_said(
    ros: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = RosHead()
    ros.up = False
    with pytest.raises(OutputError, match="shut down"):
        head.pose()
    monkeypatch.setitem(sys.modules, "rclpy", None)
    with pytest.raises(OutputError, match="install ROS 2"):
        RosHead()
