"""What is open, with evidence, and what to do about it: a scope and a target in, an assessment out.

No patient value leaves the socket: response data sets are counted while they stream past and never kept.
"""
