"""Whether a claim is true: local users, directories, tokens, tickets, assertions. Adapters, each one file."""
