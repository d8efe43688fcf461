"""HTTP: the only room that knows WebOb. From a request to a service and back."""
