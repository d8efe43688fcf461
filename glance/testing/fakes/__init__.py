"""Small working stand-ins. Each passes the contract suite of what it stands for."""
