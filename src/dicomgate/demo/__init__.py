"""`dicomgate demo`: an archive, a gate and real clients on loopback; what passes, what is refused, and why."""
