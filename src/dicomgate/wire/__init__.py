"""Bytes to PDUs, PDVs and command sets, and back (PS3.8 9.3, PS3.7 6.3 and Annex E).

Limits come first; rules are unknown here.
"""
