"""Recordings of messages without the ros2 bag command."""
