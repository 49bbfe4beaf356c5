"""An MR/CT phantom of the thorax: unpaired subjects as NIfTI files in the MM-WHS layout.

Anatomy (`anatomy`, `heart`, `mediastinum`, `thorax`) knows shapes and tissues and nothing of
appearance, which is that of `mr` and `ct`.
"""
