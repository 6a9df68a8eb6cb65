"""Real DICOM programs as context managers: started on loopback, watched, and stopped with everything they forked."""
