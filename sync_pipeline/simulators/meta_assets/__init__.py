"""A simulated Graph API with the WhatsApp Business accounts of a few customers.

`accounts` holds the numbers and the tokens, `pages` the paging, `api` the protocol, and `admin_api` what the
real Graph API does not have. Import concrete submodules.
"""
