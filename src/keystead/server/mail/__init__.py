"""Mail: where it goes, what a letter is, and handing it over without anybody waiting for it."""
