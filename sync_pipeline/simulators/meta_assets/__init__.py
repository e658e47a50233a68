"""A simulated Graph API with the WhatsApp Business accounts of a few customers.

`accounts` keeps the numbers and who may see them, `paging` cuts pages, `api` speaks the protocol,
`admin` is the switchboard that the real Graph API does not have, and `simulator` runs it all.
Import concrete submodules.
"""
