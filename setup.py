"""Installs cmda_tf; BUILD.md gives the reason for each dependency."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+?)"', (HERE / "cmda_tf/__init__.py").read_text(encoding="utf-8")
)[1]
PAPER = "https://www.ijcai.org/proceedings/2018/96"

LINT = ["ruff>=0.6", "mypy>=1.13", "import-linter>=2.3"]
TEST = ["pytest>=8", "pytest-xdist>=3", "hypothesis>=6", "medpy>=0.5"]
ONNX = ["tf2onnx>=1.17", "onnxruntime>=1.20"]
NOTEBOOKS = ["nbclient>=0.10", "nbformat>=5", "ipykernel>=6"]
# The flagfiles travel as a package of data, so that `--flagfile=flags/paper.cfg` works anywhere.
FLAGS = {"cmda_tf.flags": "flags", "cmda_tf.flags.rows": "flags/rows"}

setup(
    name="cmda_tf",
    version=VERSION,
    description="Unsupervised cross-modality domain adaptation of segmenters (IJCAI 2018)",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    url=PAPER,
    project_urls={"Paper": PAPER, "Journal version": "https://arxiv.org/abs/1812.07907"},
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=[
        *("domain adaptation", "medical image segmentation", "cardiac MRI", "CT"),
        *("adversarial training", "TensorFlow", "Keras"),
    ],
    packages=[*find_packages(include=["cmda_tf", "cmda_tf.*"]), *FLAGS],
    package_dir=FLAGS,
    package_data={"cmda_tf": ["py.typed"], **{package: ["*.cfg"] for package in FLAGS}},
    entry_points={"console_scripts": ["cmda-tf = cmda_tf.__main__:main"]},
    python_requires=">=3.10",
    install_requires=[
        "tensorflow>=2.15,<2.22",
        "tensorboard",
        "numpy>=1.26",
        "SimpleITK>=2.3",
        "pydicom>=3",
        "scipy>=1.11",
        "absl-py>=2",
        "matplotlib>=3.8",
        "tqdm>=4.66",
    ],
    extras_require={
        "lint": LINT,
        "test": TEST,
        "notebooks": NOTEBOOKS,
        "onnx": ONNX,
        "bench": ["torch>=2.2"],
        "gpu": ["tensorflow[and-cuda]>=2.15,<2.22"],
        "addons": ["tensorflow==2.15.*", "tensorflow-addons==0.23.0; python_version < '3.12'"],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3 :: Only",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in (10, 11, 12, 13)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
        "Typing :: Typed",
    ],
)
