"""What can be replaced, and what each promises.

Implementations are put together by glance/bootstrap.py; the promises are
test suites in glance/testing. A method that a run calls takes the Lease first:
it raises LostLease and changes nothing once another claim exists. Where the
database does not answer, it raises DatabaseGone; a method that the API calls
raises DatabaseUnavailable instead.
"""
