"""Audits of squared-error losses that somebody else wrote; see :func:`halfsquare.audit.run.audit_loss`."""
