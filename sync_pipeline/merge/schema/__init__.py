"""Tables and columns: metadata from entities, adoption of existing tables, migration."""
