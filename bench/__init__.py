"""Ratios of the gate against HAProxy, nginx and the direct path, measured in one run (`python -m bench`)."""
