"""cmda_tf: unsupervised cross-modality domain adaptation of segmentation networks.

A TensorFlow 2 / Keras implementation of Dou, Ouyang, Chen, Chen and Heng, "Unsupervised
Cross-Modality Domain Adaptation of ConvNets for Biomedical Image Segmentations with
Adversarial Loss", IJCAI 2018. Importing the package is cheap: TensorFlow is loaded by the
modules that need it.
"""

__version__ = "0.1.0"
