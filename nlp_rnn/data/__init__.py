"""Text to tensors: tokenizer, sources of text, batches. The package itself imports none of them."""
