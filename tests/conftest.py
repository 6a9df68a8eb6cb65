"""For every test: no time is asserted, by Hypothesis neither. A busy machine is no mistake."""

from hypothesis import settings

settings.register_profile("unhurried", settings.default, deadline=None)
settings.load_profile("unhurried")
