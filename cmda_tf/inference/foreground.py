"""Which slices show something, as far as the source segmenter can tell: no label is needed.

Supervised training sees every structure as often (`balanced`), and its BatchNorm statistics are
those of such slices. Slices that show none, half of a volume, would shift a DAM's although nothing
about the modality asks for it.
"""

import dataclasses

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from cmda_tf.data.slices import SliceStack
from cmda_tf.inference.predictor import SLICES_PER_BATCH, Predictor, shows_foreground

MIN_SLICES = 8  # fewer than a batch: such a segmenter knows too little of this modality


def foreground_slices(stack: SliceStack, segmenter: tf.keras.Model) -> SliceStack:
    """The same stack, of which only those slices are usable that show a structure.

    It is as it was where fewer than `MIN_SLICES` do. Labels, if any, are not looked at. The
    segmenter was trained on the source and not adapted.
    """
    predictions = Predictor(segmenter, shows_foreground).on_slices(stack, stack.usable)
    total = -(-len(stack.usable) // SLICES_PER_BATCH)
    bar = tqdm(predictions, desc="foreground", total=total, unit="batch", leave=False)
    usable = stack.usable[np.concatenate(list(bar))]
    return stack if len(usable) < MIN_SLICES else dataclasses.replace(stack, usable=usable)
