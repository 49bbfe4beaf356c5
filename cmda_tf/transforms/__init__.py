"""Random transforms of images on the device: affine maps, intensities."""
