"""Starts the front-end on a camera.

    ros2 launch silk_ros silk.launch.py image_topic:=/camera/image_raw camera_info_topic:=/camera/camera_info

`ros2 launch silk_ros silk.launch.py --show-args` lists the arguments.
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = get_package_share_directory("silk_ros")
ARGUMENTS = {
    "namespace": ("", "namespace of the node and its topics"),
    "params_file": (os.path.join(SHARE, "config", "silk.yaml"), "YAML file of parameters"),
    "image_topic": ("image_raw", "camera images, sensor_msgs/Image"),
    "camera_info_topic": ("camera_info", "intrinsics, sensor_msgs/CameraInfo"),
    "model_path": ("", "ONNX file of the network; empty for what params_file says"),
    "backend": ("", "engine that runs the network; empty for what params_file says"),
    "use_sim_time": ("false", "take the time from /clock"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
}


def start_node(context):
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    # Only what was given: an empty argument must not hide the params_file's value.
    overrides = {name: value[name] for name in ("model_path", "backend") if value[name]}
    overrides["use_sim_time"] = value["use_sim_time"].lower() in ("true", "1", "yes", "on")
    return [
        Node(
            package="silk_ros",
            executable="silk_node",
            name="silk",
            namespace=value["namespace"],
            output="screen",
            emulate_tty=True,
            parameters=[value["params_file"], overrides],
            remappings=[("image_raw", value["image_topic"]), ("camera_info", value["camera_info_topic"])],
            arguments=["--ros-args", "--log-level", value["log_level"]],
        )
    ]


def generate_launch_description():
    actions = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    # The overlay is larger than Fast DDS's default shared-memory segment; a profile of the user's own wins.
    if "FASTRTPS_DEFAULT_PROFILES_FILE" not in os.environ:
        profile = os.path.join(SHARE, "config", "fastdds.xml")
        actions.append(SetEnvironmentVariable("FASTRTPS_DEFAULT_PROFILES_FILE", profile))
    return LaunchDescription([*actions, OpaqueFunction(function=start_node)])
