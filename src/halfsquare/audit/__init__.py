"""Audits of squared-error losses that somebody else wrote; see :mod:`halfsquare.audit.run`."""
