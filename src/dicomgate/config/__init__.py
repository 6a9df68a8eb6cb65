"""The configuration file: TOML in; frozen settings and warnings out, or every mistake at once."""
