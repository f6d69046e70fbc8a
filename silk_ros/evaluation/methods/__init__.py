"""Detectors and descriptors to compare, behind one interface."""
