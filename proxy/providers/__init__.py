"""Whom we speak to: one file a provider, and one line in the ordered tuple of `base`."""
