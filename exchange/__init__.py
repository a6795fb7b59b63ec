"""Sluice: an exchange for public-data authorized operation.

The package is no Django app itself; `parties`, `audit`, `work`, `api` and `portal` inside it are the
control plane's, `sandbox` is the data plane and runs without the rest.
"""
