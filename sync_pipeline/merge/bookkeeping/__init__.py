"""All SQL on the bookkeeping tables: runs, watermarks, requests, listings, retention."""
