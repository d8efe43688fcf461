"""The only room that knows SQLAlchemy: records, the queue, and who may write them."""
