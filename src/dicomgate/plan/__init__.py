"""From a few answers to a recommended setup: what the advisory asks first, decided the same way every time."""
