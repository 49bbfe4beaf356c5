"""An MR/CT phantom of the thorax: unpaired subjects as NIfTI files in the MM-WHS layout.

Anatomy (`anatomy`, `heart`, `thorax`) knows shapes and tissues and nothing of appearance;
`mr` and `ct` turn tissues into intensities by the physics of each modality; `scanner` chooses
the voxel grid. `python -m cmda_tf.phantom --out=DIR` writes a data set.
"""

# Part of every data set's settings: a change of the images makes existing files outdated.
PHANTOM_VERSION = 2
