"""Where credentials rest: memory and file, with a lock and generations."""
