"""How the API speaks: problem documents, paging, result formats, rates. No business rule, no model."""
