"""Sign-in with an account elsewhere (OpenID Connect)."""
