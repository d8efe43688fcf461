"""An image service whose heart is a pluggable task executor."""
