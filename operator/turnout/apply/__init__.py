"""What goes out: objects, tokens, configurations and statuses, to the API server and to routers."""
