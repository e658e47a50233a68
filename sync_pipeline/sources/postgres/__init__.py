"""Reading any Postgres database: whole tables, ranges whose digest moved, or some keys, in one snapshot."""
