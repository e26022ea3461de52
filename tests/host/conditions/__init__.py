"""What transformers are told, in the running server. A package, so that its server stops when the last test is over."""
