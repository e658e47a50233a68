"""Keep operational Postgres tables in step with the systems around them, without losing local work.

`model` is the vocabulary, `merge` the three-way merge, `orchestration` the Dagster shell, and
`systems` declares what is synced. Import concrete submodules; importing the package runs nothing.
"""
