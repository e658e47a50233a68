"""From the JSON of a menu to records: formats, parser, fields, classification, spool."""
