"""The signage product whose tables the menus are synced into, as it was before."""
