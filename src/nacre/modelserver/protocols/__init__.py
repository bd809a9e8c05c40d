"""Wire protocols that inference requests come in, each translated to arrays and back."""
