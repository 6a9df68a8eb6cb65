"""What happened, as values: the record types and the contract of the places records go to."""
