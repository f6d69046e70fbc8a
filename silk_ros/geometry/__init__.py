"""Cameras, motions and the geometry of two views. Nothing here imports the rest of the package."""
