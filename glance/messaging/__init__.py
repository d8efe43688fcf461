"""The one link of a process to a message broker. No other room knows kombu."""
