"""Recordings as they lie on disk: one module for each file format, and `recording.py`, which joins the files."""
