"""Readers of data sets with ground truth."""
