"""AdaBN (Li et al., 2016): the baseline that every claim for adversarial training must exceed."""

from cmda_tf.data.dataset import Dataset
from cmda_tf.inference.foreground import foreground_slices
from cmda_tf.inference.networks import Networks, trained_segmenter
from cmda_tf.inference.statistics import refresh_statistics
from cmda_tf.models.segmenter import build_dam
from cmda_tf.runs.run import Run
from cmda_tf.training.phases import AdabnPhase
from cmda_tf.training.setup import source_run, start


def adapt_statistics(settings: AdabnPhase, dataset: Dataset) -> Run:
    """A run whose DAM is the source's, but for the BatchNorm statistics of its layers 1..d, which
    are re-estimated on unlabeled target slices."""
    source = source_run(settings)
    run = start(settings, dataset, source)
    if run.finished:
        return run
    config, depth = run.config, settings.dam.depth
    segmenter = trained_segmenter(config, source)
    dam = build_dam(config, depth, segmenter)
    stack = dataset.target_slices(settings.data.target)
    if settings.slices.foreground_only:
        stack = foreground_slices(stack, segmenter)
    refresh_statistics(config, depth, segmenter, dam, stack)
    return run.finish(Networks(config, segmenter, dam, depth).router())
