"""The store on Postgres, by asyncpg, and the migrations of its tables."""
