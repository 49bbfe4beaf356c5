"""Volumes on disk, prepared subjects, slices and their augmentation."""
