"""The ROS 2 nodes. The only folder that imports ROS."""

try:
    import rclpy as _rclpy  # noqa: F401
except ImportError as error:
    raise ImportError("the nodes need ROS 2: source its setup.bash, or pip install 'silk_ros[ros]'") from error
