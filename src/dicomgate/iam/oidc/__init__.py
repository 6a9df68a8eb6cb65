"""Tokens of an OpenID Connect provider: those that clients present, and the one that this gate signs in with."""
