"""Aligns faces: the aligner, its runners, the face detector, tracking."""
