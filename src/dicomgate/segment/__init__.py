"""Who may reach whom, as firewall rules: rendered from the configuration, applied, proven."""
