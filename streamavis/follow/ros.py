"""Heads behind ROS 2 topics: joint trajectories out, joint states in."""

from __future__ import annotations

import math
from typing import Any, Final

from streamavis.errors import OutputError
from streamavis.follow.head import Pose

__all__ = ["RosHead"]

_AHEAD_NS: Final = 40_000_000  # the controller reaches a goal this long after it is sent


class RosHead:
    """Sends `trajectory_msgs/JointTrajectory`, of one point, to a joint trajectory controller.

    ROS counts angles anticlockwise (REP 103): pan to the left is positive there.
    """

    def __init__(
        self,
        topic: str = "/head_controller/joint_trajectory",
        *,
        pan: str = "head_pan_joint",
        tilt: str = "head_tilt_joint",
        states: str = "/joint_states",
        tilt_down: bool = False,
    ) -> None:
        """Start a node.

        Args:
            topic: of the controller.
            pan: name of the pan joint.
            tilt: name of the tilt joint.
            states: topic of `sensor_msgs/JointState` that says where the joints are.
            tilt_down: the tilt joint's positive direction is downwards.

        Raises:
            OutputError: there is no ROS 2 in this Python.
        """
        try:
            import rclpy
            from builtin_interfaces.msg import Duration
            from sensor_msgs.msg import JointState
            from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
        except ImportError as error:
            raise OutputError(
                f"{error.name} is missing: install ROS 2 and source its setup.bash; it is on no "
                "package registry"
            ) from error
        self._rclpy = rclpy
        self._make: tuple[Any, Any, Any] = (JointTrajectory, JointTrajectoryPoint, Duration)
        self._joints = [pan, tilt]
        self._signs = (-1, -1 if tilt_down else 1)
        self._at: Pose | None = None
        if not rclpy.ok():
            rclpy.init()
        self._node: Any = rclpy.create_node("streamavis_follow")
        self._goals = self._node.create_publisher(JointTrajectory, topic, 1)
        self._node.create_subscription(JointState, states, self._note, 1)

    def pose(self) -> Pose | None:
        """Where the joints are by the newest joint state; None: none has come."""
        self._spin()
        return self._at

    def move(self, pose: Pose) -> None:
        """Publish a trajectory of one point."""
        self._send(pose)

    def hold(self) -> None:
        """Publish the present place as goal, where it is known."""
        at = self.pose()
        if at is not None:
            self._send(at)

    def close(self) -> None:
        """End the node."""
        self._node.destroy_node()

    def _send(self, pose: Pose) -> None:
        trajectory_type, point_type, duration_type = self._make
        trajectory = trajectory_type()
        trajectory.joint_names = list(self._joints)
        point = point_type()
        point.positions = [
            sign * math.radians(angle)
            for sign, angle in zip(self._signs, (pose.pan, pose.tilt), strict=True)
        ]
        point.time_from_start = duration_type(sec=0, nanosec=_AHEAD_NS)
        trajectory.points = [point]
        self._goals.publish(trajectory)

    def _spin(self) -> None:
        if not self._rclpy.ok():
            raise OutputError("ROS was shut down")
        self._rclpy.spin_once(self._node, timeout_sec=0.0)

    def _note(self, state: Any) -> None:
        places = dict(zip(state.name, state.position, strict=False))
        if all(joint in places for joint in self._joints):
            pan, tilt = (
                sign * math.degrees(places[joint])
                for sign, joint in zip(self._signs, self._joints, strict=True)
            )
            self._at = Pose(pan, tilt)
