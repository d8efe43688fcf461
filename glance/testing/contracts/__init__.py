"""The promises of the interfaces as test suites, one module for each interface.

Mix a suite into a test class and define the method that makes the thing to be tested.
The suites are written with plain asserts and fixtures of pytest.
"""
