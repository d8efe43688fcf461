"""The database: records, the queue, and the fence. The only room that knows SQLAlchemy."""
