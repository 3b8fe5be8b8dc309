"""One file per row of the precedence table; this module is the table."""
