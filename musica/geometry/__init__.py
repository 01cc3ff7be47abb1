"""Landmark schemes, boxes and their conventions, crops, turns and the reference shape."""
