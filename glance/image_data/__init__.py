"""Work on bytes: fetch, hash, inspect. Knows no engine and no database."""
