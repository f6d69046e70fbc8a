"""The ROS 2 nodes. The only folder that imports ROS."""
