"""What is open, with evidence, and what to do about it: checks, score, report."""
