"""Parts that models are built of; every layer class comes from an injected `operations` namespace."""
