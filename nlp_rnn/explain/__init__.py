"""Looking into trained networks. The package itself imports nothing."""
