"""Segmentation of any image by a finished run, on the image's own grid."""
