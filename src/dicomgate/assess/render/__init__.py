"""How a report is written: one file for each format. In: a Report; out: text. Pure."""
