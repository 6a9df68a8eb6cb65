"""dicomgate: the locked door in front of a DICOM archive."""

__version__ = "0.1.0"
