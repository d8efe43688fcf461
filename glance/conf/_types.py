"""Types of options that oslo.config does not have."""

from oslo_config import types


class BracketList(types.List):
    """A list that may stand in brackets or not: "[http,https]" or "http,https".

    Operators' files have both: brackets where the option had them once.
    """

    def __init__(self, item_type=None):
        super().__init__(item_type=item_type, type_name='list value')

    def __call__(self, value):
        if isinstance(value, str):
            value = value.strip()
            if value.startswith('[') and value.endswith(']'):
                value = value[1:-1]
        return super().__call__(value)
