"""The verifier: checks a receipt, or a whole published log, with nothing of ours.

It needs the standard library and `cryptography`, and shares no code with what writes the log. The folder
stands alone: copied anywhere, `python -m verify` does the same as `python -m exchange.audit.verify`.
"""
