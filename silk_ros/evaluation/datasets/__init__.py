"""Readers of the data sets that evaluation knows."""
