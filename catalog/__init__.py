"""What there is to sell and by what right: domains, resources, authorizations, products, snapshots.

Owns the chain resource → authorization → product and the rule `covers`. Knows no licence and no price.
Invariant: nothing is listed without a valid parent; suspending anything stops everything beneath it.
"""
