"""Judging features and matches against known geometry. Needs neither torch nor ROS."""
