"""An MR/CT phantom of the thorax: unpaired subjects as NIfTI files in the MM-WHS layout.

Anatomy (`anatomy`, `heart`, `mediastinum`, `thorax`) knows shapes and tissues and nothing of
appearance; `mr` and `ct` turn tissues into intensities by the physics of each modality;
`scanner` chooses the voxel grid; `generate` writes a data set; `recipe` says which one is used
where no other data is named.
"""

# Part of every data set's settings: a change of the images makes existing files outdated.
PHANTOM_VERSION = 2
