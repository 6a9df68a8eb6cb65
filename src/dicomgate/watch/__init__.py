"""What passes on a mirror port or in a capture: who talks DICOM to whom, without a byte of what they say."""
