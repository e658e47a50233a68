"""The Dagster shell: factories and helpers that turn declarations into assets, checks and sensors.

Nothing here knows a particular system; nothing here composes SQL beyond asking `merge` for it.
"""
