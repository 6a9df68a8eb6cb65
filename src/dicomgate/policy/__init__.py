"""May they? A pure function of facts; silence refuses."""
