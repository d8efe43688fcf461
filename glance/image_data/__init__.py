"""Work on image bytes: fetch, hash, stage, inspect. Knows no engine and no database."""
