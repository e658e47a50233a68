"""A simulated Bubble app: an invented solar company behind Bubble's Data API.

`company` generates the records, `store` and `search` keep and find them, `api` implements the Data API,
`admin_api` is the admin API that the real Bubble does not have, and `simulator` runs all of it.
Import concrete submodules.
"""
