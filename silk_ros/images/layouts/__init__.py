"""Layouts of folders: what the published data sets, and pairs of folders, hold and where."""
