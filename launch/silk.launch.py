"""Starts the front-end on a camera, on a stereo pair, or on several cameras.

    ros2 launch silk_ros silk.launch.py image_topic:=/camera/image_raw camera_info_topic:=/camera/camera_info
    ros2 launch silk_ros silk.launch.py stereo:=exact left:=/stereo/left right:=/stereo/right odometry:=true
    ros2 launch silk_ros silk.launch.py namespace:=front,rear       # /front/image_raw and /rear/image_raw

`ros2 launch silk_ros silk.launch.py --show-args` lists the arguments.
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

CONFIG = os.path.join(get_package_share_directory("silk_ros"), "config")
SIDES = ("left", "right")
SWITCH = ["true", "false"]
ARGUMENTS = {
    "namespace": dict(
        default_value="", description="namespace of the node and its topics; one for each camera, separated by commas"
    ),
    "params_file": dict(default_value=os.path.join(CONFIG, "silk.yaml"), description="YAML file of parameters"),
    "image_topic": dict(default_value="image_raw", description="camera images; compressed ones on <it>/compressed"),
    "camera_info_topic": dict(default_value="camera_info", description="intrinsics, sensor_msgs/CameraInfo"),
    "mask_topic": dict(default_value="mask", description="images that are black where keypoints are left out"),
    "stereo": dict(
        default_value="",
        description="none, exact or approximate stamps of a stereo pair; empty for what params_file says",
    ),
    "left": dict(default_value="left", description="of a stereo pair: <it>/image_raw and <it>/camera_info"),
    "right": dict(default_value="right", description="of a stereo pair: <it>/image_raw and <it>/camera_info"),
    "model_path": dict(default_value="", description="ONNX file of the network; empty for what params_file says"),
    "backend": dict(default_value="", description="engine of the network; empty for what params_file says"),
    "precision": dict(default_value="", description="auto, fp32, fp16, bf16 or int8; empty for what params_file says"),
    "odometry": dict(default_value="false", description="start the odometry node too", choices=SWITCH),
    "rviz": dict(default_value="false", description="start RViz with a layout, and odometry", choices=SWITCH),
    "enclave": dict(default_value="", description="SROS 2 enclave of silk_node (docs/security.md); empty for none"),
    "use_sim_time": dict(default_value="false", description="take the time from /clock", choices=SWITCH),
    "log_level": dict(
        default_value="info", description="least severe log shown", choices=["debug", "info", "warn", "error", "fatal"]
    ),
}


def start_nodes(context):
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    params_file = os.path.expanduser(value["params_file"])
    if not os.path.isfile(params_file):
        raise RuntimeError(f"no params_file at '{params_file}': copy config/silk.yaml and pass its path")
    # Only what was given: an empty argument must not hide the params_file's value.
    given = {"model_path": "model_path", "backend": "backend", "precision": "precision", "stereo": "stereo.sync"}
    overrides = {parameter: value[name] for name, parameter in given.items() if value[name]}
    sim_time = {"use_sim_time": value["use_sim_time"] == "true"}
    # The overlay is larger than Fast DDS's default shared-memory segment; a profile of the user's own wins.
    profile = os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE") or os.path.join(CONFIG, "fastdds.xml")
    log_level = ["--log-level", value["log_level"]]
    enclave = ["--enclave", value["enclave"]] if value["enclave"] else []
    common = dict(
        output="screen",
        emulate_tty=True,
        additional_env={"FASTRTPS_DEFAULT_PROFILES_FILE": profile},
    )
    topics = {"image_raw": value["image_topic"]} | {f"{side}/image_raw": f"{value[side]}/image_raw" for side in SIDES}
    topics |= {f"{name}/compressed": f"{topic}/compressed" for name, topic in topics.items()}
    topics |= {"camera_info": value["camera_info_topic"], "mask": value["mask_topic"]}
    topics |= {f"{side}/camera_info": f"{value[side]}/camera_info" for side in SIDES}
    # Odometry is that of the left camera of a pair.
    camera_info = topics["left/camera_info" if value["stereo"] in ("exact", "approximate") else "camera_info"]
    with_rviz = value["rviz"] == "true"
    nodes = []
    for namespace in value["namespace"].split(","):
        place = dict(package="silk_ros", namespace=namespace.strip(), **common)
        nodes.append(
            Node(
                executable="silk_node",
                name="silk",
                parameters=[params_file, overrides, sim_time],
                remappings=list(topics.items()),
                ros_arguments=log_level + enclave,
                **place,
            )
        )
        if with_rviz or value["odometry"] == "true":
            nodes.append(
                Node(
                    executable="odometry_node",
                    name="odometry",
                    parameters=[sim_time, {"publish_tf": with_rviz}],  # RViz shows all in the odometry frame
                    remappings=[("camera_info", camera_info)],
                    ros_arguments=log_level,
                    **place,
                )
            )
    if with_rviz:
        layout = ["-d", os.path.join(CONFIG, "silk.rviz")]
        nodes.append(Node(package="rviz2", executable="rviz2", arguments=layout, parameters=[sim_time]))
    return nodes


def generate_launch_description():
    arguments = [DeclareLaunchArgument(name, **options) for name, options in ARGUMENTS.items()]
    return LaunchDescription([*arguments, OpaqueFunction(function=start_nodes)])
