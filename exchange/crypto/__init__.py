"""Keys, signatures, canonical JSON and the Merkle tree: what evidence is made of.

Owns no state and knows no Django. Everything signed here can be verified with software nobody here wrote:
Ed25519 (RFC 8032), JWS (RFC 7515), JWK (RFC 7517), JCS (RFC 8785), RFC 9162 hashes.
"""
