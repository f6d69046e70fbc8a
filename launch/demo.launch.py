"""Launches the front-end with an image player instead of a camera.

ros2 launch silk_ros demo.launch.py                           # the synthetic flight
ros2 launch silk_ros demo.launch.py source:=recording.mcap    # or a folder, a video, a camera index
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

SHARE = get_package_share_directory("silk_ros")


def generate_launch_description():
    profile = os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE") or os.path.join(SHARE, "config", "fastdds.xml")
    front_end = os.path.join(SHARE, "launch", "silk.launch.py")
    source = ParameterValue(LaunchConfiguration("source"), value_type=str)  # a camera index must stay a string
    return LaunchDescription(
        [
            DeclareLaunchArgument("source", default_value="flight", description="source of the images"),
            Node(
                package="silk_ros",
                executable="image_player",
                output="screen",
                parameters=[{"source": source}],
                additional_env={"FASTRTPS_DEFAULT_PROFILES_FILE": profile},
            ),
            IncludeLaunchDescription(PythonLaunchDescriptionSource(front_end)),
        ]
    )
