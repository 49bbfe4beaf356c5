"""Installs cmda_tf; BUILD.md gives the reason for each dependency."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+?)"', (HERE / "cmda_tf/__init__.py").read_text(encoding="utf-8")
)[1]

TEST = ["pytest>=8", "pytest-xdist>=3", "hypothesis>=6", "medpy>=0.5", "ruff>=0.6"]
ONNX = ["tf2onnx>=1.17", "onnxruntime>=1.20"]
NOTEBOOKS = ["nbclient>=0.10", "nbformat>=5", "ipykernel>=6"]

setup(
    name="cmda_tf",
    version=VERSION,
    description="Unsupervised cross-modality domain adaptation of segmenters (IJCAI 2018)",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["cmda_tf", "cmda_tf.*"]),
    python_requires=">=3.10",
    install_requires=[
        "tensorflow>=2.15,<2.22",
        "tensorboard",
        "numpy>=1.26",
        "SimpleITK>=2.3",
        "scipy>=1.11",
        "absl-py>=2",
        "matplotlib>=3.8",
        "tqdm>=4.66",
    ],
    extras_require={
        "test": TEST,
        "notebooks": NOTEBOOKS,
        "onnx": ONNX,
        "gpu": ["tensorflow[and-cuda]>=2.15,<2.22"],
        "addons": ["tensorflow==2.15.*", "tensorflow-addons==0.23.0; python_version < '3.12'"],
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
)
