"""Volume files of others: NIfTI, NRRD, MetaImage, DICOM, each checked before anything is read."""
