"""Launches the front-end for a camera, a stereo pair, or several cameras.

    ros2 launch silk_ros silk.launch.py image_topic:=/camera/image_raw camera_info_topic:=/camera/camera_info
    ros2 launch silk_ros silk.launch.py stereo:=exact left:=/stereo/left right:=/stereo/right odometry:=true
    ros2 launch silk_ros silk.launch.py namespace:=front,rear       # /front/image_raw and /rear/image_raw
    ros2 launch silk_ros silk.launch.py view:=true                  # seen live, in a window or a browser
    ros2 launch silk_ros silk.launch.py preset:=orb_slam            # features as ORB-SLAM needs them

`ros2 launch silk_ros silk.launch.py --show-args` lists the arguments.
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

CONFIG = os.path.join(get_package_share_directory("silk_ros"), "config")
PRESETS = os.path.join(CONFIG, "presets")
SIDES = ("left", "right")
SWITCH = ["true", "false"]
ARGUMENTS = {
    "namespace": dict(
        default_value="", description="namespace of the node and its topics; for several cameras, separated by commas"
    ),
    "preset": dict(
        default_value="",
        description="parameters that suit a program downstream, a file of share/silk_ros/config/presets; empty: none",
        choices=["", *sorted(name.removesuffix(".yaml") for name in os.listdir(PRESETS))],
    ),
    "params_file": dict(
        default_value="", description="YAML file with parameters, which win over those of the preset; empty: none"
    ),
    "image_topic": dict(
        default_value="image_raw", description="images of the camera; compressed ones on <image_topic>/compressed"
    ),
    "camera_info_topic": dict(default_value="camera_info", description="calibration, sensor_msgs/CameraInfo"),
    "mask_topic": dict(default_value="mask", description="mask images, black where keypoints are left out"),
    "stereo": dict(
        default_value="", description="none, exact or approximate (stamps of a stereo pair); empty: as in params_file"
    ),
    "left": dict(default_value="left", description="left camera of a pair: <left>/image_raw, <left>/camera_info"),
    "right": dict(default_value="right", description="right camera of a pair: <right>/image_raw, <right>/camera_info"),
    "image_name": dict(
        default_value="image_raw", description="name of the images of a pair below left and right, such as image_rect"
    ),
    "rectified": dict(
        default_value="",
        description="auto, true or false: whether images are rectified, for silk_node and odometry; empty: as in "
        "params_file, and auto for odometry",
    ),
    "model_path": dict(default_value="", description="ONNX file of the network; empty: as in params_file"),
    "backend": dict(default_value="", description="engine that runs the network; empty: as in params_file"),
    "precision": dict(default_value="", description="auto, fp32, fp16, bf16 or int8; empty: as in params_file"),
    "odometry": dict(default_value="false", description="also start the odometry node", choices=SWITCH),
    "rviz": dict(default_value="false", description="start RViz with a layout, and the odometry node", choices=SWITCH),
    "view": dict(
        default_value="false",
        description="show it live with view_node, and start odometry (docs/view.md)",
        choices=SWITCH,
    ),
    "enclave": dict(default_value="", description="SROS 2 enclave of silk_node (docs/security.md); empty: none"),
    "use_sim_time": dict(default_value="false", description="use the time of /clock", choices=SWITCH),
    "log_level": dict(
        default_value="info",
        description="lowest severity in the log",
        choices=["debug", "info", "warn", "error", "fatal"],
    ),
}


def remappings(value):
    """From the topics of silk_node to those of the cameras."""
    pair = {f"{side}/image_raw": f"{value[side]}/{value['image_name']}" for side in SIDES}
    images = {"image_raw": value["image_topic"], **pair}
    compressed = {f"{name}/compressed": f"{topic}/compressed" for name, topic in images.items()}
    infos = {f"{side}/camera_info": f"{value[side]}/camera_info" for side in SIDES}
    return images | compressed | infos | {"camera_info": value["camera_info_topic"], "mask": value["mask_topic"]}


def overrides(value):
    """Parameters from arguments that were given: an empty argument must not override the value of params_file."""
    given = {name: name for name in ("model_path", "backend", "precision", "rectified")} | {"stereo": "stereo.sync"}
    return {parameter: value[name] for name, parameter in given.items() if value[name]}


def parameter_files(value):
    """Files with the parameters of silk_node; the later one wins."""
    files = [os.path.join(CONFIG, "silk.yaml")]
    if value["preset"]:
        files.append(os.path.join(PRESETS, f"{value['preset']}.yaml"))
    if value["params_file"]:
        files.append(os.path.expanduser(value["params_file"]))
        if not os.path.isfile(files[-1]):
            raise RuntimeError(f"no params_file at '{files[-1]}': copy config/silk.yaml and pass its path")
    return files


def start_nodes(context):
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    parameters = [*parameter_files(value), overrides(value)]
    topics, with_rviz, with_view = remappings(value), value["rviz"] == "true", value["view"] == "true"
    sim_time = {"use_sim_time": value["use_sim_time"] == "true"}
    log_level = ["--log-level", value["log_level"]]
    # The overlay is larger than the default shared-memory segment of Fast DDS. A profile that the user has set wins.
    profile = os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE") or os.path.join(CONFIG, "fastdds.xml")
    common = dict(output="screen", emulate_tty=True, additional_env={"FASTRTPS_DEFAULT_PROFILES_FILE": profile})
    # For a stereo pair, the odometry is that of the left camera.
    side = "left/" if value["stereo"] in ("exact", "approximate") else ""
    names = ("image_raw", "image_raw/compressed", "camera_info")
    followed = [(name, topics[f"{side}{name}"]) for name in names]
    rectified = {"rectified": value["rectified"]} if value["rectified"] else {}
    nodes = []
    for namespace in value["namespace"].split(","):
        place = dict(package="silk_ros", namespace=namespace.strip(), **common)
        nodes.append(
            Node(
                executable="silk_node",
                name="silk",
                parameters=[*parameters, sim_time],
                remappings=list(topics.items()),
                ros_arguments=log_level + (["--enclave", value["enclave"]] if value["enclave"] else []),
                **place,
            )
        )
        listener = dict(remappings=followed, ros_arguments=log_level, **place)
        if with_rviz or with_view or value["odometry"] == "true":
            nodes.append(
                Node(
                    executable="odometry_node",
                    name="odometry",
                    # RViz shows everything in the odometry frame.
                    parameters=[sim_time, {"publish_tf": with_rviz, **rectified}],
                    **listener,
                )
            )
        if with_view:
            nodes.append(Node(executable="view_node", name="view", parameters=[sim_time, rectified], **listener))
    if with_rviz:
        layout = ["-d", os.path.join(CONFIG, "silk.rviz")]
        nodes.append(Node(package="rviz2", executable="rviz2", arguments=layout, parameters=[sim_time]))
    return nodes


def generate_launch_description():
    arguments = [DeclareLaunchArgument(name, **options) for name, options in ARGUMENTS.items()]
    return LaunchDescription([*arguments, OpaqueFunction(function=start_nodes)])
