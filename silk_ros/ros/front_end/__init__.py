"""The parts of the front-end node."""
