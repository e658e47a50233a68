"""Menus of points of sale: products, modifiers and discounts of a signage product's sites."""
