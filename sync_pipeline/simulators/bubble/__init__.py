"""A simulated Bubble app: an invented solar company behind the Data API as Bubble answers it.

`company` invents the records, `store` and `search` keep and find them, `api` speaks the protocol,
`admin` is the switchboard that the real Bubble does not have, and `simulator` runs it all.
Import concrete submodules.
"""
