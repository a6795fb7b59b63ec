"""The data plane: a query language of aggregates, and the node that answers it inside the holder's domain.

Owns the query type and its parsers, the plan compiler, disclosure control, intake, and the node's processes
(launcher, gate, vault). It knows no Django, no price and no buyer; it runs without the exchange.

Invariants: no raw row, exact small cell or un-noised private cell leaves the vault process; what crosses
between the planes is a signed order in and a signed release out, nothing else.
"""
