"""Starts the front-end on a camera.

    ros2 launch silk_ros silk.launch.py image_topic:=/camera/image_raw camera_info_topic:=/camera/camera_info

`ros2 launch silk_ros silk.launch.py --show-args` lists the arguments.
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

CONFIG = os.path.join(get_package_share_directory("silk_ros"), "config")
ARGUMENTS = {
    "namespace": dict(default_value="", description="namespace of the node and its topics"),
    "params_file": dict(default_value=os.path.join(CONFIG, "silk.yaml"), description="YAML file of parameters"),
    "image_topic": dict(default_value="image_raw", description="camera images, sensor_msgs/Image"),
    "camera_info_topic": dict(default_value="camera_info", description="intrinsics, sensor_msgs/CameraInfo"),
    "model_path": dict(default_value="", description="ONNX file of the network; empty for what params_file says"),
    "backend": dict(default_value="", description="engine of the network; empty for what params_file says"),
    "precision": dict(default_value="", description="auto, fp32, fp16, bf16 or int8; empty for what params_file says"),
    "use_sim_time": dict(default_value="false", description="take the time from /clock", choices=["true", "false"]),
    "log_level": dict(
        default_value="info", description="least severe log shown", choices=["debug", "info", "warn", "error", "fatal"]
    ),
}


def start_node(context):
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    params_file = os.path.expanduser(value["params_file"])
    if not os.path.isfile(params_file):
        raise RuntimeError(f"no params_file at '{params_file}': copy config/silk.yaml and pass its path")
    # Only what was given: an empty argument must not hide the params_file's value.
    overrides = {name: value[name] for name in ("model_path", "backend", "precision") if value[name]}
    overrides["use_sim_time"] = value["use_sim_time"] == "true"
    # The overlay is larger than Fast DDS's default shared-memory segment; a profile of the user's own wins.
    profile = os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE") or os.path.join(CONFIG, "fastdds.xml")
    return [
        Node(
            package="silk_ros",
            executable="silk_node",
            name="silk",
            namespace=value["namespace"],
            output="screen",
            emulate_tty=True,
            parameters=[params_file, overrides],
            remappings=[("image_raw", value["image_topic"]), ("camera_info", value["camera_info_topic"])],
            ros_arguments=["--log-level", value["log_level"]],
            additional_env={"FASTRTPS_DEFAULT_PROFILES_FILE": profile},
        )
    ]


def generate_launch_description():
    arguments = [DeclareLaunchArgument(name, **options) for name, options in ARGUMENTS.items()]
    return LaunchDescription([*arguments, OpaqueFunction(function=start_node)])
