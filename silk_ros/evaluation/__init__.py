"""Evaluation of features and matches against known geometry, and of their speed. Needs neither torch nor ROS."""
