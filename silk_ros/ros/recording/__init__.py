"""Recordings of messages, written without `ros2 bag`."""
