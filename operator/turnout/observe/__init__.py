"""Looking: at what routers run and do, and at how the operator itself does."""
