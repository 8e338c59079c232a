"""The audit log of the gateway: one record a request, append-only and hash-chained. It is also the ledger."""
