"""Tunnels between two sites: rendered from the configuration, applied, watched, proven."""
