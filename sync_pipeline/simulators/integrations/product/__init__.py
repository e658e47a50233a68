"""The signage product whose tables the menus are synced into, as its earlier releases left them."""
