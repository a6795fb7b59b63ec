"""The evidence: the Merkle tree, the log, its sequencer, its verifier, and the tables that only grow."""
