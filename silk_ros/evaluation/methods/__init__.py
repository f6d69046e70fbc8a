"""Detectors and descriptors that evaluation compares, behind one interface."""
