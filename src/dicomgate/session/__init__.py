"""The brain of one relayed association: events in, commands out, no I/O."""
