"""Who may ask, and what each may do: tenants, their keys and tokens. Usable without a server."""
