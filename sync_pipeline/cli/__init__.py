"""The command line.

Every command takes `--json` and then prints one JSON object on stdout; progress and errors go to stderr.
`commands` holds a module per command, `framework` what all of them share, `output` what they print.
"""
